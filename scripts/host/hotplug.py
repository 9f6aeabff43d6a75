# SPDX-License-Identifier: GPL-2.0
"""hotplug: one device that comes and goes"""
import os
import struct

from shared import PAGE, may_skip, pattern_word


class Hotplug:
    """Serves hotplug.c; the layout is described there."""
    PAGES = 128
    READ_PAGES = 32

    def __init__(self, run):
        self.run = run

    def path(self, gen):
        return self.run.path(f"memory-{gen}")

    def fill(self, gen, page):
        return struct.pack("<Q511Q", gen, *(pattern_word(self.run.seed ^ gen, page * 512 + i)
                                            for i in range(1, 512)))

    def holds_its_own(self, gen):
        """Only the generation's own words are in it, and those to read are all there."""
        with open(self.path(gen), "rb") as file:
            for page in range(self.PAGES):
                have = file.read(PAGE)
                if page >= self.READ_PAGES and have == bytes(PAGE):
                    continue
                want = self.fill(gen, page)
                # A page may have been half written
                if have != want and (page < self.READ_PAGES or any(
                        word not in (bytes(8), want[i * 8:i * 8 + 8])
                        for i, word in enumerate(struct.unpack("8s" * 512, have)))):
                    print(f"memory {gen}: page {page} is wrong")
                    return False
        return True

    def serve(self, guest, what, gen):
        gen = int(gen)
        qmp = guest.qmp
        if what == "plug":
            with open(self.path(gen), "wb") as file:
                for page in range(self.READ_PAGES):
                    file.write(self.fill(gen, page))
                file.truncate(self.PAGES * PAGE)
            # A memory that was in use once cannot be used again: QEMU aborts
            return (qmp.call("object-add", **{"qom-type": "memory-backend-file"}, id=f"mem{gen}",
                             share=True, size=self.PAGES * PAGE, **{"mem-path": self.path(gen)})
                    and qmp.call("device_add", driver="ivshmem-plain", id=f"dev{gen}",
                                 memdev=f"mem{gen}", addr="5"))
        if what == "unplug":
            if not qmp.call("device_del", id=f"dev{gen}"):
                return False
            qmp.wait_event("DEVICE_DELETED", f"dev{gen}")
            qmp.call("object-del", id=f"mem{gen}")
            if not self.holds_its_own(gen):
                return False
            os.unlink(self.path(gen))
            return True
        return what == "look" and self.holds_its_own(gen)


def hotplug(run):
    run.judge(run.boot("guest", [], serve=Hotplug(run).serve, machine="pc"),
              may_skip=may_skip(run))
