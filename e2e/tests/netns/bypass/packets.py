"""What an app can send by sockets of its own making: KIND ADDRESS PORT [ARGUMENT]

connect [SECONDS]  an ordinary connection; prints what came of it
mark NUMBER        one whose packets carry a mark
device NAME        one that is bound to a device
raw FLAGS          a TCP segment by a raw socket, with these flags
packet MAC         a SYN by a packet socket, straight to this neighbour
"""

import socket
import struct
import sys

SOURCE_PORT = 40000
SYN = 2


# An answer takes a millisecond, a reset too: what has not come by then is lost.
LOST = 0.5


def connect(address, port, seconds, *options):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as stream:
        stream.settimeout(seconds)
        try:
            for level, name, value in options:
                stream.setsockopt(level, name, value)
            stream.connect((address, port))
            stream.sendall(b"get a\r\n")
            print(stream.recv(64).decode().strip() or "closed")
        except ConnectionResetError:
            print("reset")
        except OSError as error:
            print(error.strerror or error)


def own_address(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return probe.getsockname()[0]


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(address, port, flags):
    def header(check):
        return struct.pack("!HHIIBBHHH", SOURCE_PORT, port, 1, 0, 5 << 4, flags, 1024, check, 0)

    ends = socket.inet_aton(own_address(address)) + socket.inet_aton(address)
    pseudo = ends + struct.pack("!BBH", 0, socket.IPPROTO_TCP, 20)
    return header(checksum(pseudo + header(0)))


def datagram(address, payload):
    def header(check):
        ends = socket.inet_aton(own_address(address)), socket.inet_aton(address)
        length = 20 + len(payload)
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 1, 0, 64, 6, check, *ends)

    return header(checksum(header(0))) + payload


def main(kind, address, port, argument=""):
    port = int(port)
    if kind == "connect":
        connect(address, port, float(argument or 20))
    elif kind == "mark":
        connect(address, port, 20, (socket.SOL_SOCKET, socket.SO_MARK, int(argument)))
    elif kind == "device":
        device = argument.encode() + b"\0"
        connect(address, port, LOST, (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device))
    elif kind == "raw":
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
            try:
                raw.sendto(segment(address, port, int(argument)), (address, 0))
            except PermissionError:
                print("dropped")
    elif kind == "packet":
        packet = datagram(address, segment(address, port, SYN))
        neighbour = bytes.fromhex(argument.replace(":", ""))
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as link:
            link.sendto(packet, ("eth0", 0x0800, 0, 0, neighbour))
    else:
        sys.exit(__doc__)


main(*sys.argv[1:])
