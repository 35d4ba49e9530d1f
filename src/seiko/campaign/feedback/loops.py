"""Coroutines as jobs: an executor whose worker is an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class CoroutineExecutor(Executor):
    """Runs coroutine functions; a cancelled future cancels its coroutine.

    The loop has a thread of its own, so it works inside a running loop too, in a notebook for instance.

    Example:
        >>> async def double(x):
        ...     return 2 * x
        >>> with CoroutineExecutor() as executor:
        ...     executor.submit(double, 4).result()
        8
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="seiko-coroutines", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the coroutine ``fn(*args, **kwargs)`` among the others."""
        return asyncio.run_coroutine_threadsafe(fn(*args, **kwargs), self._loop)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the loop; with `wait`, after the coroutines are done."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._drain(wait and not cancel_futures), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _drain(self, patient: bool) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if not patient:
            for task in others:
                task.cancel()
        await asyncio.wait(others, timeout=None if patient else 5) if others else None
