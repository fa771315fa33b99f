# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install pip as ansible-test wants it, from the standard library's ensurepip.

ansible-test runs its copy of this file, in the environment that needs a pip, with the requirements as arguments. With
`--wanted` it prints the version of pip that the installed ansible-test names.
"""

from __future__ import annotations

import subprocess
import sys


def wanted() -> str:
    """Return the version of pip that ansible-test bootstraps with."""
    from ansible_test._internal.host_configs import VirtualPythonConfig
    from ansible_test._internal.python_requirements import get_venv_packages

    version = ".".join(map(str, sys.version_info[:2]))
    return str(get_venv_packages(VirtualPythonConfig(version=version))["pip"])


def main(arguments: list[str]) -> None:
    """Install the named requirements, pip among them, into this interpreter's environment."""
    requirements = [each for each in arguments if each not in ("--no-setuptools", "--no-wheel")]
    # In a process of its own: ensurepip turns pip's configuration off for all that follows in the same process.
    subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *requirements], check=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--wanted"]:
        print(wanted())
    else:
        main(sys.argv[1:])
