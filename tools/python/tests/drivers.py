"""The two clients behind one face, so that a scenario is written once."""

import asyncio
import concurrent.futures
import time

from .support import FakeServer
import patron_client
from patron_client import Retries
from patron_client import _requests as requests
from patron_client._options import DEFAULT

QUICK = Retries(first_pause=0.005, longest_pause=0.02)


class Blocking:
    """Calls of the client for threads."""

    def __init__(self):
        self.pool = concurrent.futures.ThreadPoolExecutor(64)
        self.clients = []

    def connect(self, port, **options):
        options.setdefault("deadline", 5.0)
        options.setdefault("retries", QUICK)
        self.clients.append(patron_client.connect("127.0.0.1", port, **options))
        return self.clients[-1]

    def start(self, function, *arguments, **options):
        return self.pool.submit(function, *arguments, **options)

    def wait(self, future):
        return future.result(20)

    def call(self, function, *arguments, **options):
        return function(*arguments, **options)

    def next(self, stream):
        """The next chunk; None behind the last one."""
        return self.wait(self.pool.submit(next, stream, None))

    def end_stream(self, stream):
        stream.close()

    sleep = staticmethod(time.sleep)

    def close_client(self, client):
        client.close()

    def end(self):
        for client in self.clients:
            client.close()
        self.pool.shutdown()


class Asyncio:
    """Calls of the client for asyncio."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.clients = []

    def connect(self, port, **options):
        options.setdefault("deadline", 5.0)
        options.setdefault("retries", QUICK)
        self.clients.append(self.call(patron_client.aio.connect, "127.0.0.1", port, **options))
        return self.clients[-1]

    def start(self, function, *arguments, **options):
        return self.loop.create_task(function(*arguments, **options))

    def wait(self, future):
        return self.loop.run_until_complete(asyncio.wait_for(future, 20))

    def call(self, function, *arguments, **options):
        return self.wait(self.start(function, *arguments, **options))

    def next(self, stream):
        """The next chunk; None behind the last one."""
        async def work():
            async for chunk in stream:
                return chunk
        return self.call(work)

    def end_stream(self, stream):
        self.call(stream.aclose)

    def sleep(self, seconds):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def close_client(self, client):
        self.call(client.close)

    def end(self):
        for client in self.clients:
            self.call(client.close)
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


class Writing(requests.Ping):
    """As an operation that changes something will be."""
    idempotent = False


class Scenarios:
    """Tests of a subclass run against the client that its `Driver` drives."""

    Driver = None

    def setUp(self):
        self.driver = self.Driver()
        self.addCleanup(self.driver.end)

    def serve(self, script, **hello):
        server = FakeServer(script, **hello)
        self.addCleanup(server.__exit__)
        return server

    def refuses(self, kind, function, *arguments, **options):
        with self.assertRaises(kind) as caught:
            self.driver.call(function, *arguments, **options)
        return caught.exception

    def ask(self, client, request, deadline=DEFAULT):
        return self.driver.call(client._call, request, deadline)

    def assert_closed(self, peer):
        """The client has ended the connection, and the server has seen it."""
        for _ in range(300):
            if peer.sock.fileno() == -1:
                return
            self.driver.sleep(0.01)
        self.fail("the client did not close the connection")
