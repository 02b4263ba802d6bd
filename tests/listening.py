"""What a process and all that it has started listen on, as Linux says."""

import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

LISTENS = "0A"
Address = IPv4Address | IPv6Address


def listening(pid: int) -> dict[tuple[str, int], Address]:
    """(program, port) -> the address that it is bound to."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == LISTENS:
                host, port = cells[1].split(":")
                sockets[cells[9]] = (_address(host), int(port, 16))
    found = {}
    for process in _with_children(pid):
        try:
            name = Path(f"/proc/{process}/comm").read_text().strip()
            files = list(Path(f"/proc/{process}/fd").iterdir())
        except OSError:  # it has ended
            continue
        for file in files:
            try:
                inode = str(file.readlink()).removeprefix("socket:[").removesuffix("]")
            except OSError:  # it is closed, as the one by which the folder was read
                continue
            if inode in sockets:
                address, port = sockets[inode]
                found[name, port] = address
    return found


def is_loopback(address: Address) -> bool:
    """Whether only this machine reaches the address."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _address(text: str) -> Address:
    """An address as /proc/net/tcp writes it: words of four bytes, each in the machine's order."""
    words = [bytes.fromhex(text[i : i + 8]) for i in range(0, len(text), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return ip_address(packed)


def _with_children(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for process in found:
        found += parents.get(process, [])
    return found
