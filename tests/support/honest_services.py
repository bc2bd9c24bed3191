"""Commands that reach nothing but themselves, in the ways in which services do."""

from __future__ import annotations

from tests.support.calling_out import python, sh

QUICK_HONEST = {
    "says hello": sh("echo hello"),
    "reads who resolves names": sh("cat /etc/resolv.conf /etc/hosts"),
    "talks to itself": sh(
        "busybox nc -l -p 8080 >/dev/null & until echo x | busybox nc 127.0.0.1 8080; do sleep 0.1; done"
    ),
}
_TALK = """
    import socket, threading
    server = socket.create_server(({host!r}, 0), family=socket.{family})
    def serve():
        connection, _ = server.accept()
        connection.sendall(b"fine")
        connection.close()
    threading.Thread(target=serve).start()
    with socket.create_connection(server.getsockname()[:2], timeout=60) as client:
        assert client.recv(4) == b"fine"
"""
_ABSTRACT = """
    import socket
    server = socket.socket(socket.AF_UNIX)
    server.bind("\\0bundler-test")
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect("\\0bundler-test")
    pair = socket.socketpair()
"""
_OWN_NAME = """
    import socket
    name = socket.gethostname()
    assert name, name
    for family in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
        found = socket.getaddrinfo(name, 80, family)
        assert found
    socket.getfqdn()
    socket.gethostbyaddr(socket.gethostbyname(name))
    with socket.create_server((socket.gethostbyname(name), 0)) as server:
        socket.create_connection(server.getsockname(), timeout=60).close()
"""
_THREADS = """
    import threading, hashlib
    threads = [threading.Thread(target=lambda: hashlib.sha256(bytes(1 << 20)).hexdigest()) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""
_POOL = """
    import multiprocessing, os
    os.chdir("/tmp")
    if __name__ == "__main__":
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
"""
_LOCALHOST = """
    import socket
    assert socket.getaddrinfo("localhost", 80)
    assert socket.gethostbyname("localhost") == "127.0.0.1"
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.getaddrinfo("localhost", 80, family)
        except OSError:
            pass
"""
_OUTER_ADDRESS = """
    import socket
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("198.51.100.1", 80))  # how programs learn their own address: nothing is sent
    assert sock.getsockname()[0]
"""
DEBIAN_HONEST = {
    "binds 127.0.0.1": python(_TALK.format(host="127.0.0.1", family="AF_INET")),
    "binds ::1": python(_TALK.format(host="::1", family="AF_INET6")),
    "binds every address": python(_TALK.format(host="0.0.0.0", family="AF_INET")),
    "abstract Unix sockets": python(_ABSTRACT),
    "its own host name": python(_OWN_NAME),
    "localhost": python(_LOCALHOST),
    "several threads": python(_THREADS),
    "a pool of processes": python(_POOL),
    "its own address": python(_OUTER_ADDRESS),
    "a quiet second": sh("sleep 2"),
}
