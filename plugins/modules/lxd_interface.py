#!/usr/bin/python
# Copyright: (c) 2026, lxdops.compute contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network interface is attached to an instance, or detached."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_interface
short_description: Attach a network interface to an LXD or Incus instance, or detach it
description:
  - Attaches one network interface (NIC), changes it, or detaches it, whether the instance runs, is frozen or
    stopped. It is never started or stopped for that, unless O(apply=restart) allows it.
  - What a task does not name is not touched, other devices of the instance are not either, and an empty text or list
    removes an option. Tasks on two NICs of an instance may run at once.
  - A NIC that a profile gives is overridden by a device of the instance with the same name when an option of it
    changes, and hidden (C(type=none)) when it is detached. Attached again without options, it is what the profile
    gives.
  - Whether an option changes while the NIC stays plugged in is told before, and refused if O(apply) says so.
  - What the kernel of the host lacks for an option (VLANs, limits, filters) only the server finds out, when the NIC is
    plugged in. It undoes the change then, and the error says what is lacking.
author:
  - lxdops.compute contributors (@lxdops)
extends_documentation_fragment:
  - lxdops.compute.connection
  - lxdops.compute.attributes
  - lxdops.compute.attributes.changes
options:
  name:
    description: Name of the instance. It must exist.
    type: str
    required: true
  state:
    description:
      - V(attached) - the NIC is there, with the options that are named.
      - V(detached) - there is no such NIC.
    type: str
    choices: [attached, detached]
    default: attached
  device:
    description:
      - Name of the device. One of O(device) and O(hwaddr) is required.
      - Without it the NIC is the one with the MAC address O(hwaddr), or is attached as the first of C(eth0), C(eth1),
        ... that is free.
    type: str
  hwaddr:
    description:
      - MAC address. One of O(device) and O(hwaddr) is required.
      - With O(device) it is the address that the NIC shall have; a detachment is refused where it has another.
      - Without it the server makes one, which stays as long as the NIC is attached, with whatever network. To have
        the same after it was detached and attached, declare it.
    type: str
  network:
    description: A managed network of the server, for O(state=attached). It says the type of the NIC.
    type: str
  parent:
    description: A device of the host, such as a bridge, for NICs that have O(nictype).
    type: str
  nictype:
    description:
      - Type of a NIC that is of no managed network. All but V(routed) and V(p2p) need O(parent).
      - V(ipvlan) is plugged into a stopped instance only. See O(apply). It works where the guest sets its addresses
        itself. With O(ipv4) or O(ipv6) there is a warning - liblxc 5.0 gives the guest neither these nor the name
        O(interface), and leaves routes on the host with which the instance does not start again (L(liblxc issue 4367,
        https://github.com/lxc/lxc/issues/4367)). V(routed) is the nearest that has addresses from here.
      - V(sriov) needs a device of the host that has virtual functions.
    type: str
    choices: [bridged, macvlan, physical, routed, ipvlan, p2p, sriov]
  interface:
    description: Name of the interface in the guest. By default the first of C(eth0), C(eth1), ... that is free.
      Containers only.
    type: str
  host_name:
    description: Name of the host's end of the NIC. By default one that the server makes.
    type: str
  mtu:
    description: MTU. A NIC of a managed bridge has it from the network.
    type: str
  vlan:
    description: VLAN of untagged frames, or V(none). A bridge of the kernel needs VLAN filtering.
    type: str
  vlan_tagged:
    description: VLANs, or ranges of them, of tagged frames.
    type: list
    elements: str
  ipv4:
    description:
      - Static IPv4 address. A managed bridge gives it by DHCP. A NIC of type V(routed) or V(ipvlan) may have several,
        which the server sets up when the instance starts; where the NIC comes to a running one, the guest must. V(none)
        with O(security.ipv4_filtering) blocks the protocol.
    type: list
    elements: str
  ipv6:
    description: The same of IPv6. A managed bridge needs C(ipv6.dhcp.stateful).
    type: list
    elements: str
  limits:
    description: Limits of the traffic. They change live.
    type: dict
    suboptions:
      ingress:
        description: Into the guest, in bits a second, like V(10Mbit).
        type: str
      egress:
        description: Out of the guest.
        type: str
      max:
        description: Both.
        type: str
      priority:
        description: Priority (C(skb->priority)) of outgoing packets, 0 to 15. On servers with the API extension
          C(instances_nic_limits_priority), which LXD 5.0 has not.
        type: str
  security:
    description: What the guest may send. The filters change live.
    type: dict
    suboptions:
      mac_filtering:
        description: Only from its own MAC address.
        type: bool
      ipv4_filtering:
        description: Only from its own IPv4 and MAC address. It does not go with O(vlan).
        type: bool
      ipv6_filtering:
        description: Only from its own IPv6 and MAC address. It does not go with O(vlan).
        type: bool
      port_isolation:
        description: Nothing to and from other isolated NICs of the bridge.
        type: bool
  acls:
    description:
      - Network ACLs of the NIC. On LXD those of OVN networks have them; of a bridge the network itself has
        (C(security.acls)). On Incus those of bridges too (API extension C(network_bridge_acl_devices)).
    type: list
    elements: str
  acls_default:
    description: What becomes of traffic that no rule of the ACLs is about.
    type: dict
    suboptions:
      ingress:
        description: Of what comes in.
        type: str
        choices: [allow, drop, reject]
      egress:
        description: Of what goes out.
        type: str
        choices: [allow, drop, reject]
      ingress_logged:
        description: Whether that is logged.
        type: bool
      egress_logged:
        description: Whether that is logged.
        type: bool
  routes:
    description: Routes of the host that lead to the NIC.
    type: dict
    suboptions:
      ipv4:
        description: IPv4 subnets, like V(10.1.0.0/24).
        type: list
        elements: str
      ipv6:
        description: IPv6 subnets.
        type: list
        elements: str
      ipv4_external:
        description: IPv4 subnets that the network's uplink, or BGP, tells others about.
        type: list
        elements: str
      ipv6_external:
        description: IPv6 subnets of that kind.
        type: list
        elements: str
  boot_priority:
    description: Place in the boot order of a virtual machine, the higher the earlier.
    type: int
  tag:
    description:
      - A word that the guest finds as C(user.tag) of the device, at C(/1.0/devices) of its socket C(/dev/lxd/sock) or
        C(/dev/incus/sock).
      - It is given when a NIC is attached, and does not change, since a change would unplug it.
    type: str
  apply:
    description:
      - How far a change of a running instance may go.
      - V(live) - what would interrupt the NIC, or needs more, is refused. To attach and to detach is allowed.
      - V(replug) - it may be unplugged and plugged in again, where the server has no other way. The guest then loses
        what it has configured on the interface.
      - V(restart) - and the instance may be restarted, which NICs of type V(ipvlan) need.
    type: str
    choices: [live, replug, restart]
    default: replug
  force:
    description: Kill the guest for a restart instead of shutting it down.
    type: bool
    default: false
  stop_timeout:
    description: Seconds for the guest to shut down for a restart. One that does not stays as it is.
    type: int
    default: 30
seealso:
  - module: lxdops.compute.lxd_instance
"""

EXAMPLES = r"""
- name: A second NIC, which the guest finds by its tag
  lxdops.compute.lxd_interface:
    name: web1
    device: backend
    nictype: macvlan
    parent: eth0
    hwaddr: 00:16:3e:00:00:11
    tag: backend

- name: The NIC of the profile, with an address and a limit of its own
  lxdops.compute.lxd_interface:
    name: web1
    device: eth0
    ipv4: [10.177.0.50]
    limits: {ingress: 100Mbit}

- name: No limit
  lxdops.compute.lxd_interface:
    name: web1
    device: eth0
    limits: {ingress: ""}
    apply: live

- name: Gone, whatever the device is called
  lxdops.compute.lxd_interface:
    name: web1
    hwaddr: 00:16:3e:00:00:11
    state: detached
"""

RETURN = r"""
interface:
  description: The NIC after the task.
  returned: success
  type: dict
  contains:
    instance:
      description: The instance.
      type: str
      returned: always
      sample: web1
    device:
      description: The name of the device, or V(null) where no NIC has the MAC address.
      type: str
      returned: always
      sample: eth1
    state:
      description: V(attached) or V(detached).
      type: str
      returned: always
      sample: attached
    inherited:
      description: Whether it is a profile's, and none of the instance's own.
      type: bool
      returned: when attached
      sample: false
    options:
      description: The device, as the server keeps it.
      type: dict
      returned: when attached
      sample: {name: eth1, network: lxdbr0, type: nic}
hwaddr:
  description: The MAC address of the NIC, declared or not. V(null) where none is attached, also in check mode.
  returned: success
  type: str
  sample: 00:16:3e:12:34:56
host_name:
  description: The host's end of the NIC. V(null) where it is not plugged in, or has none.
  returned: success
  type: str
  sample: veth2963682a
impact:
  description:
    - How each option that changed takes effect - V(live), V(replug) (the NIC was unplugged and plugged in again),
      V(restart), or V(stopped) (nothing ran that could notice).
  returned: success
  type: dict
  sample: {limits.ingress: live}
warnings:
  description: What the server takes, and is known not to do well.
  returned: when there is such
  type: list
  elements: str
  sample: []
pending:
  description: Options that the guest notices when it boots the next time.
  returned: success
  type: list
  elements: str
  sample: []
steps:
  description: What was done, or in check mode would be done.
  returned: always
  type: list
  elements: str
  sample: ["attach eth1 to web1: network lxdbr0"]
"""

from ansible_collections.lxdops.compute.plugins.module_utils.front import connection_spec, run
from ansible_collections.lxdops.compute.plugins.module_utils.interface_domain import converge_interface
from ansible_collections.lxdops.compute.plugins.module_utils.interface_params import interface_spec


def spec() -> dict[str, object]:
    """What is accepted, as documented above."""
    return {"argument_spec": {**connection_spec(), **interface_spec()}}


work = converge_interface


def main() -> None:
    """Run the module."""
    run(spec(), work)


if __name__ == "__main__":
    main()
