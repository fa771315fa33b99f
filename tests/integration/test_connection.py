# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a server is reached, and who is let in; and that secrets stay secret."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.case import Lane
from integration.lab_host import LabHost, lab, run
from integration.task import command, play, task

INFO = "lxdops.compute.lxd_instance_info"
FLEET = "lxdops.compute.lxd_instances"
SECRET = "correct-horse-battery-staple"  # noqa: S105


@pytest.fixture
def stranger(tmp_path: Path) -> dict[str, str]:
    """A client certificate that no server knows."""
    cert, key = str(tmp_path / "stranger.crt"), str(tmp_path / "stranger.key")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    run(["openssl", *words, "-subj", "/CN=stranger", "-keyout", key, "-out", cert])
    return {"client_cert": cert, "client_key": key}


def fingerprint(host: LabHost) -> str:
    text = run(["openssl", "x509", "-in", host.facts["lab_server_cert"], "-noout", "-fingerprint", "-sha256"])
    return text.strip().split("=")[1]


@pytest.fixture
def token(host: LabHost) -> Iterator[str]:
    """A trust token; the certificate that it let in is removed."""
    before = set(host.query("certificates"))
    words = ["config", "trust", "add"] + (["--name", "stranger"] if host.product == "lxd" else ["stranger"])
    yield host.client(*words, "--quiet").strip().splitlines()[-1]
    for url in set(host.query("certificates")) - before:
        host.call("DELETE", url.removeprefix("/1.0/"))


def info(**params: Any) -> dict[str, Any]:
    return task(params, module=INFO)


def test_a_pinned_certificate(host: LabHost) -> None:
    assert info(**host.https)["instances"] == []


@pytest.mark.parametrize(
    "change", [str, str.lower, lambda text: text.replace(":", "")], ids=["as is", "lower", "plain"]
)
def test_a_pinned_fingerprint(host: LabHost, change: Any) -> None:
    options = {**host.https, "server_cert": None, "server_fingerprint": change(fingerprint(host))}
    assert info(**options)["instances"] == []


def test_the_pin_of_another_server_is_refused(host: LabHost, lxd_hosts: list[LabHost]) -> None:
    other = lxd_hosts[1]
    words = "the server's certificate is not the pinned one"
    assert words in info(**{**host.https, "server_cert": other.facts["lab_server_cert"]})["msg"]
    assert words in info(**{**host.https, "server_cert": None, "server_fingerprint": fingerprint(other)})["msg"]


def test_no_pin_and_no_known_authority_is_refused(host: LabHost) -> None:
    assert "set server_cert or server_fingerprint" in info(**{**host.https, "server_cert": None})["msg"]


def test_the_environment_cannot_replace_the_pin(host: LabHost) -> None:
    environment = {"REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt", "https_proxy": "http://127.0.0.1:9"}
    assert task(host.https, module=INFO, environment=environment)["instances"] == []


def test_options_from_the_environment(host: LabHost) -> None:
    environment = {f"LXD_{option.upper()}": value for option, value in host.https.items()}
    assert task({}, module=INFO, environment=environment)["instances"] == []


def test_the_daemon_of_a_directory(host: LabHost) -> None:
    variable = {"lxd": "LXD_DIR", "incus": "INCUS_DIR"}[host.product]
    assert task({}, module=INFO, environment={variable: host.facts["lab_daemon_directory"]})["instances"] == []


def test_a_stranger_is_told_what_to_do(host: LabHost, stranger: dict[str, str]) -> None:
    result = info(**{**host.https, **stranger})
    assert result["error"] == "Unreachable"
    assert "does not trust the client certificate" in result["msg"]
    assert "give a trust_token" in result["msg"]


def test_a_trust_token_lets_a_stranger_in_once_but_not_in_check_mode(
    host: LabHost, stranger: dict[str, str], token: str
) -> None:
    options = {**host.https, **stranger, "trust_token": token}
    known = host.query("certificates")
    checked = task(options, module=INFO, check=True)
    assert "check mode adds no certificate" in checked["msg"]
    refused = task({**options, "instances": [{"name": "x", "nama": "x"}]}, module=FLEET)
    assert "nama" in refused["msg"]
    assert host.query("certificates") == known

    first = command(options, "-vvv", module=INFO)
    output, _error = first.communicate(timeout=120)
    assert first.returncode == 0, output
    assert token not in output
    assert len(host.query("certificates")) == len(known) + 1
    assert info(**{**host.https, **stranger})["instances"] == [], "the token is not needed any more"
    assert info(**options)["instances"] == [], "and does no harm"


def test_a_token_that_is_none(host: LabHost, stranger: dict[str, str]) -> None:
    result = info(**{**host.https, **stranger, "trust_token": "bm9uZQ=="})
    assert "did not accept the client certificate" in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"endpoint": "/nowhere/unix.socket"}, "there is no such socket"),
        ({"endpoint": "http://127.0.0.1:1"}, "allowed are the path of a unix socket or an https:// URL"),
        ({"endpoint": "https://127.0.0.1:1"}, "https://127.0.0.1:1: "),
        ({"endpoint": "https://127.0.0.1:1", "client_cert": "/etc/hostname"}, "client_cert and client_key go together"),
        ({"endpoint": "https://127.0.0.1:1", "server_cert": "/nowhere.crt"}, "server_cert: found no readable file"),
    ],
)
def test_what_is_no_server(options: dict[str, str], words: str) -> None:
    result = info(**options)
    assert result["failed"]
    assert words in result["msg"]


def test_a_dead_daemon_is_told_within_the_timeout(lxd_hosts: list[LabHost]) -> None:
    host = lxd_hosts[1]

    lab("kill", str(host.number), "--name", host.lab)
    try:
        result = info(**host.https)
    finally:
        lab("start", str(host.number), "--name", host.lab)
    assert result["error"] == "Unreachable"
    assert host.facts["lab_endpoint"] in result["msg"]


def test_passwords_in_cloud_init_data_are_in_no_output_and_no_file(lane: Lane, tmp_path: Path) -> None:
    data = {"chpasswd": {"list": f"root:{SECRET}"}}
    params = {
        **lane.connection,
        "name": "secret",
        "source": {"alias": "tiny"},
        "state": "present",
        "cloud_init": {"user_data": f"#cloud-config\npassword: {SECRET}\n", "vendor_data": data},
    }
    tasks = [{"lxdops.compute.lxd_instance": params, "check_mode": check} for check in (True, False, False)]
    try:
        done = play([{"hosts": "localhost", "tasks": tasks}], tmp_path, {}, "--diff", "-vvv")
        assert done.returncode == 0, done.stdout
        assert "changed=2" in done.stdout
        assert SECRET not in done.stdout
        assert SECRET in lane.host.query("instances/secret")["config"]["cloud-init.user-data"]
    finally:
        lane.host.remove("secret")
    left = subprocess.run(["grep", "-rl", SECRET, str(Path.home() / ".ansible/tmp")], capture_output=True, check=False)
    assert left.stdout == b""
