# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a host is and has: capacity and use, pools, networks, its processors' traits, uptime and load."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .cordon import cordon_of
from .steps import Api

PROC = Path("/proc")
SAME = (
    "abm avx avx2 avx512bw avx512cd avx512dq avx512er avx512f avx512pf avx512vl avx512vbmi avx512ifma bmi2 f16c fma4 "
    "mmx mpx sse sse2 sse4a ssse3 svm tbm vmx xop"
).split()
OTHERWISE = {
    "aes": "AESNI",
    "avx512_bitalg": "AVX512BITALG",
    "avx512_vbmi2": "AVX512VBMI2",
    "avx512_vnni": "AVX512VNNI",
    "avx512_vpopcntdq": "AVX512VPOPCNTDQ",
    "bmi1": "BMI",
    "fma": "FMA3",
    "gfni": "AVX512GFNI",
    "pclmulqdq": "CLMUL",
    "pni": "SSE3",
    "sha_ni": "SHA",
    "sse4_1": "SSE41",
    "sse4_2": "SSE42",
    "vaes": "AVX512VAES",
    "vpclmulqdq": "AVX512VPCLMULQDQ",
}
MAKERS = {"svm": "HW_CPU_X86_AMD_SVM", "vmx": "HW_CPU_X86_INTEL_VMX"}
"""Second names."""
TRAITS = {flag: f"HW_CPU_X86_{name}" for flag, name in {**{flag: flag.upper() for flag in SAME}, **OTHERWISE}.items()}
"""Linux' processor flags -> OpenStack's traits, as Nova maps libvirt's (nova/virt/libvirt/utils.py,
CPU_TRAITS_MAPPING)."""


def host_facts(on: Api, _params: Mapping[str, Any], _check: bool) -> dict[str, Any]:
    """A module's result."""
    clustered = bool(on.environment.get("server_clustered"))
    name = on.environment.get("server_name", "")
    resources = on.get("resources")
    member = on.get(f"cluster/members/{name}") if clustered else None
    flags = processor_flags(on, resources)
    sockets = resources["cpu"].get("sockets") or []
    return {
        "host": {
            "name": name,
            "server": on.environment.get("server", "lxd"),
            "version": on.environment["server_version"],
            "kernel": on.environment.get("kernel_version", ""),
            "architectures": list(on.environment.get("architectures") or ()),
            "types": on.environment["driver"].split(" | "),
            "address": (on.urls() or (None,))[0],
            "addresses": list(on.environment.get("addresses") or ()),
            "extensions": sorted(on.extensions),
            "cordoned": cordon_of(on, name if clustered else "") or None,
            "cluster": _cluster(member),
            "cpu": {
                "count": resources["cpu"]["total"],
                "model": sockets[0].get("name", "") if sockets else "",
                "flags": flags,
                "traits": None if flags is None else traits(flags),
            },
            "memory": {key: resources["memory"][key] for key in ("total", "used")},
            "pools": [_pool(on, pool) for pool in on.get("storage-pools", recursion=1)],
            "networks": sorted(one["name"] for one in on.get("networks", recursion=1) if one["managed"]),
            **pulse(on, resources, name if clustered else ""),
        }
    }


def _cluster(member: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if member is None:
        return None
    return {"member": member["server_name"], "status": member["status"].lower(), "roles": sorted(member["roles"] or ())}


def _pool(on: Api, pool: Mapping[str, Any]) -> dict[str, Any]:
    space = (on.find(f"storage-pools/{pool['name']}/resources") or {}).get("space") or {}
    return {"name": pool["name"], "driver": pool["driver"], "total": space.get("total"), "used": space.get("used")}


def here(on: Api) -> bool:
    """Whether the server is on the machine where this runs, so that its /proc tells of it."""
    return on.endpoint.startswith("/") and on.environment.get("kernel_version") == os.uname().release


def pulse(on: Api, resources: Mapping[str, Any], member: str) -> dict[str, Any]:
    """Seconds since the host started, and its load averages. None where the server does not tell and is elsewhere."""
    if member and on.has("cluster_member_state"):
        system = on.get(f"cluster/members/{member}/state")["sysinfo"]
        return {"uptime": system["uptime"], "load": system["load_averages"]}
    if here(on):
        uptime = float((PROC / "uptime").read_text().split()[0])
        load = [float(word) for word in (PROC / "loadavg").read_text().split()[:3]]
        return {"uptime": int(uptime), "load": load}
    averages = resources.get("load")
    load_told = [averages[f"Average{minutes}Min"] for minutes in (1, 5, 10)] if averages else None
    return {"uptime": None, "load": load_told}


def processor_flags(on: Api, resources: Mapping[str, Any]) -> list[str] | None:
    """The flags of the processors, as Linux names them. None where the server does not tell and is elsewhere."""
    for socket in resources["cpu"].get("sockets") or ():
        for core in socket.get("cores") or ():
            if core.get("flags"):
                return sorted(core["flags"])
    if not here(on):
        return None
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", (PROC / "cpuinfo").read_text(), re.MULTILINE)
    return sorted(found[1].split()) if found else []


def traits(flags: Iterable[str]) -> list[str]:
    """What OpenStack's placement calls the abilities of x86 processors with these flags."""
    return sorted(table[flag] for flag in flags for table in (TRAITS, MAKERS) if flag in table)
