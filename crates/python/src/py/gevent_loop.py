# `gevent = N`: one hub per worker, a greenlet for each request.
NOTHING, FULL, DRAINED = -1, -2, -3


class TimedOut(Exception):
    pass


def wait(fd, for_write, seconds):
    """Lets other greenlets run until the socket is ready; False: it was not in time."""
    from gevent.socket import wait_read, wait_write

    mine = TimedOut()
    try:
        (wait_write if for_write else wait_read)(fd, timeout=seconds, timeout_exc=mine)
    except TimedOut as raised:
        if raised is not mine:
            raise
        return False
    return True


def pause():
    import gevent

    gevent.sleep(0.005)


def patch():
    from gevent import monkey

    if not monkey.is_module_patched("socket"):
        monkey.patch_all()


waker = None


def interrupt():
    # From another thread: this is all that a hub allows there.
    if waker is not None:
        waker.send()


def throw_late(requests, greenlets):
    """Requests past their deadline end with an exception, where they wait."""
    import sys
    import traceback

    cores, overdue = requests.to_throw()
    for core in cores:
        greenlet = greenlets.get(core)
        if greenlet is None:
            continue
        if greenlet.gr_frame is not None:
            stack = "".join(traceback.format_stack(greenlet.gr_frame))
            sys.stderr.write("greenlet of core %d (most recent call last):\n%s" % (core, stack))
        greenlet.kill(overdue(), block=False)


def serve(requests, wait_for_hub):
    global waker
    import gevent
    from gevent.event import Event
    from gevent.socket import wait as wait_for

    # The mold may have had a hub.
    gevent.reinit()
    watcher = gevent.get_hub().loop.io(requests.fileno(), 1)
    freed = Event()
    running = {}
    waker = gevent.get_hub().loop.async_(ref=False)
    waker.start(throw_late, requests, running)

    def answer(core):
        try:
            requests.answer(core)
        finally:
            running.pop(core, None)
            freed.set()

    while True:
        try:
            found = requests.look()
            if found >= 0:
                running[found] = gevent.spawn(answer, found)
                # It runs until it waits; then the next one is looked for.
                gevent.sleep(0)
            elif found == NOTHING:
                try:
                    wait_for(watcher, timeout=30, timeout_exc=TimedOut())
                except TimedOut:
                    pass
            elif found == FULL or (found == DRAINED and running):
                freed.clear()
                freed.wait()
            elif found == DRAINED:
                break
            else:
                gevent.sleep(0)
        except (KeyboardInterrupt, SystemExit):
            requests.wants_end()
    watcher.stop()
    watcher.close()
    waker.stop()
    waker.close()
    waker = None
    if wait_for_hub:
        gevent.wait()
