"""What a reader may do besides reading: nothing outside the folders it is given, and no code of what it reads."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

_STARTS = frozenset(
    [
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "pty.spawn",
        "os.startfile",
        "os.forkpty",
    ]
)
# event -> how many paths begin its arguments
_CHANGES = {
    **dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.truncate", "os.utime"), 1),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), 2),
}
_UNPICKLED = frozenset(["numpy", "torch", "collections", "signgen", "_codecs"])  # modules whose classes are harmless
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """An audit hook of this process. found: what was done that must not be, in words, since `watch`."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._allowed: tuple[str, ...] = ()
        self._foreign = ""
        self._on = False
        sys.addaudithook(self._hook)

    def watch(self, foreign: Path, *allowed: Path) -> None:
        """Begin. foreign: the input, from which no code may come. allowed: folders that may be written."""
        self._foreign, self._allowed = str(foreign), (*map(str, allowed), "/dev/", "/proc/self/")
        self.found, self._on = [], True

    def rest(self) -> None:
        """End."""
        self._on = False

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event in _STARTS:
            self.found.append(f"starts a process ({event} {str(args)[:80]})")
            raise PermissionError(f"{event} is not allowed here")
        if event == "open":
            if isinstance(args[2], int) and args[2] & _WRITING:
                self._changed(event, args[0], -1)
        elif event in _CHANGES:
            count = _CHANGES[event]
            folders = [value for value in args[count:] if type(value) is int][-count:]
            for place, path in enumerate(args[:count]):
                self._changed(event, path, folders[place] if place < len(folders) else -1)
        elif event == "exec":
            self._ran(event, getattr(args[0], "co_filename", ""))
        elif event in ("compile", "import", "ctypes.dlopen"):
            self._ran(event, args[0 if event == "ctypes.dlopen" else 1])
        elif event == "pickle.find_class" and str(args[0]).partition(".")[0] not in _UNPICKLED:
            self.found.append(f"unpickles {args[0]}.{args[1]}")
        elif event == "socket.getaddrinfo":
            self.found.append(f"asks the network for {args[0]}")

    def _changed(self, event: str, path: Any, folder: int) -> None:
        if isinstance(path, int) or path is None:
            return
        name = os.fsdecode(path)
        if folder >= 0 and not os.path.isabs(name):
            name = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)
        name = os.path.abspath(name)
        if not name.startswith(self._allowed) and not self._allows(name):
            self.found.append(f"changes {name} ({event})")

    def _allows(self, name: str) -> bool:
        return any(name == allowed.rstrip("/") for allowed in self._allowed)

    def _ran(self, event: str, file: Any) -> None:
        if isinstance(file, bytes):
            file = os.fsdecode(file)
        if isinstance(file, str) and file.startswith(self._foreign):
            self.found.append(f"runs code of the input ({event} {file})")


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What lies below a folder, by name: size, time and inode; two that are equal hold the same."""
    found = {}
    for place, _, files in os.walk(folder):
        for name in files:
            stat = os.lstat(os.path.join(place, name))
            found[os.path.join(place, name)] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return found
