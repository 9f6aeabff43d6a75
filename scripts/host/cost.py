#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What guest/bench.c measured: how much it may be, and how docs/cost.md shows it.

cost.py all COUNTS: the tables; cost.py unlimited COUNTS: without that of the limits;
cost.py short COUNTS: what README.md says of it;
cost.py cover COUNTS: those of the cover letter; cost.py plot COUNTS: the data of the graph;
cost.py same A B: are these the same but for numbers, and those nearly so?
"""
import math
import re
import sys

# What has no compiler in it varies by less than that from run to run
VARIATION = 0.02

SIZES = {"4K": "4 KiB", "16M": "16 MiB", "4G": "4 GiB", "64G": "64 GiB"}
# 1 GiB pages can be in those only
LARGE = ("4G", "64G")
BYTES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def read(*paths):
    """The counts in files with lines "# bench: NAME VALUE" """
    counts = {}
    for path in paths:
        with open(path, errors="replace", encoding="utf-8") as file:
            counts.update((name, int(value)) for name, value in
                          re.findall(r"^# bench: (\S+) (\d+)$", file.read(), re.M))
    return counts


def bytes_of(size):
    return int(size[:-1]) * BYTES[size[-1]]


def sizes_of(counts):
    """Of the mappings, from the smallest on"""
    return sorted({name.split(".")[1] for name in counts if name.endswith(".read.all")}, key=bytes_of)


def digits_of(limit):
    """Two behind the first of a limit, at least three"""
    return max(3, 2 - math.floor(math.log10(limit)))


def limits(counts):
    """(what, how much it is, how much it may be)"""
    def kernel(way, size, pages="1G"):
        return counts[f"kernel.{pages}.{size}.{way}"]

    def together(what, how):
        return counts[f"{what}.64M.{how}.all"]

    yield ("managed map and unmap, to devm_request_mem_region() and devm_memremap()",
           max(kernel("pcim_helper", size, pages) / kernel("devm", size, pages)
               for size in SIZES for pages in ("1G", "2M")), 1.00)
    yield ("map and unmap from 16 MiB on, to pci_request_region() and memremap()",
           max(kernel("helper", size, pages) / kernel("by_hand", size, pages)
               for size in SIZES if size != "4K" for pages in ("1G", "2M")), 1.06)
    yield ("map and unmap 64 GiB, to 16 MiB, with 1 GiB pages",
           kernel("helper", "64G") / kernel("helper", "16M"), 2.30)
    for how in "read", "write":
        yield (f"mmap(), {how} each of its pages and munmap() of 64 MiB, to resource2_wc",
               together("sample", how) / together("resource2_wc", how), 0.15)
    yield ("mmap(), read a word every 2 MiB and munmap() of 64 GiB, to resource2_wc",
           counts["sample.64G.sparse"] / counts["resource2_wc.64G.sparse"], 0.0005)
    yield ("read each page of 1 GiB or more for the first time, to once more",
           max(counts[f"sample.{size}.read.touch"] / counts[f"sample.{size}.read.again"]
               for size in ("1G", "8G", "64G")), 1.10)
    yield ("mmap(), read each page and munmap() of 2 MiB or more, to resource2_wc",
           max(counts[f"sample.{size}.read.all"] / counts[f"resource2_wc.{size}.read.all"]
               for size in sizes_of(counts) if bytes_of(size) >= 2 << 20), 1.00)


def check(results, counts):
    try:
        for what, ratio, limit in limits(counts):
            digits = digits_of(limit)
            results.check(f"{what}: {ratio:.{digits}f} of {limit}", round(ratio, digits) <= limit)
    except KeyError as missing:
        results.check("all is measured", False, f"{missing} is missing")


def number(value):
    return f"{value:,}".replace(",", " ") if value is not None else "–"


def ratio_of(value, peer):
    if value is None or not peer:
        return "–"
    # Three digits of small ones, too
    ratio = value / peer
    return f"{ratio:.{max(3, 2 - math.floor(math.log10(ratio)))}f}"


def rows(*lines):
    for i, line in enumerate(lines):
        yield f"| {' | '.join(line)} |"
        if not i:
            yield "|---" + "|--:" * (len(line) - 1) + "|"


def kernel_table(counts):
    columns = [("1G", size) for size in SIZES] + [("2M", size) for size in LARGE]

    def values(way):
        return [counts[f"kernel.{pages}.{size}.{way}"] for pages, size in columns]

    def line(name, way, than=None):
        yield [name, *map(number, values(way))]
        if than:
            yield ["ratio", *map(ratio_of, values(than), values(way))]

    yield from rows(
        ["map and unmap", *(SIZES[size] + (" *" if pages == "2M" else "") for pages, size in columns)],
        *line("`pci_shmem_bar_map()`", "helper"),
        *line("`pci_request_region()`, `memremap()`", "by_hand", "helper"),
        *line("`pcim_shmem_bar_map()`", "pcim_helper"),
        *line("`devm_request_mem_region()`, `devm_memremap()`", "devm", "pcim_helper"),
        *line("`pcim_iomap_region()`", "pcim_iomap_region", "pcim_helper"))
    yield ""
    yield "\\* by a processor without 1 GiB pages"


def user_table(counts):
    def line(name, key):
        ours, resource, tmpfs = (counts.get(f"{what}.{key}") for what in ("sample", "resource2_wc", "tmpfs"))
        return [name, number(ours), number(resource), ratio_of(ours, resource),
                number(tmpfs), ratio_of(ours, tmpfs)]

    yield from rows(
        ["", "sample", "`resource2_wc`", "ratio", "tmpfs", "ratio"],
        line("64 MiB: `mmap()`", "64M.read.mmap"),
        line("read each page", "64M.read.touch"),
        line("`munmap()`", "64M.read.munmap"),
        line("together", "64M.read.all"),
        line("faults", "64M.read.faults"),
        line("64 MiB, write each page instead", "64M.write.touch"),
        line("together", "64M.write.all"),
        line("8 GiB: `mmap()`", "8G.read.mmap"),
        line("read each page", "8G.read.touch"),
        line("`munmap()`", "8G.read.munmap"),
        line("together", "8G.read.all"),
        line("faults", "8G.read.faults"),
        line("64 GiB: together", "64G.read.all"),
        line("faults", "64G.read.faults"),
        line("a word every 2 MiB instead", "64G.sparse"),
        line("`read()` of 16 MiB", "read()"),
        line("`write()` of 16 MiB", "write()"))
    yield ""
    yield (f"Unbinding the sample takes {number(counts['sample.unbind'])} with 64 GiB mapped and touched, "
           f"{number(counts['nothing.unbind'])} with nothing mapped.")


def text_table(counts):
    yield from rows(
        ["text of the helper, bytes", "`-Os`", "`-O2`"],
        *([name, *(number(counts[f"text.{arch}.{flag}"]) for flag in ("-Os", "-O2"))]
          for arch, name in (("x86_64", "x86-64"), ("arm64", "arm64"))))


def limit_table(counts):
    yield from rows(["asserted", "is", "at most"], *(
        [what, f"{ratio:.{digits_of(limit)}f}", f"{limit:.{digits_of(limit) - 1}f}"]
        for what, ratio, limit in limits(counts)))
    yield ""
    yield ("With pci_request_region() and memremap() alone, mapping 64 GiB costs "
           f"{ratio_of(counts['kernel.1G.64G.by_hand'], counts['kernel.1G.16M.by_hand'])} times what 16 MiB cost.")


def short(counts):
    """Three of them"""
    ratios = [ratio for _, ratio, _ in limits(counts)]
    yield f"- claiming and mapping a BAR of 16 MiB or more: at most {ratios[1]:.3f} times the two calls it replaces;"
    yield (f"- mapping 64 MiB in user space, reading each page and unmapping it: {ratios[3]:.3f} times "
           "what `resource2_wc` costs;")
    yield f"- the helper's code: {counts['text.x86_64.-Os']} bytes on x86-64 (`-Os`)."


def cover(counts):
    """Some of that, in plain text"""
    yield "Instructions, counted in QEMU (-icount), of a kernel with 1 GiB pages:"
    yield ""
    yield f"  {'map and unmap a BAR of':<42}{'16 MiB':>11}{'64 GiB':>13}"
    for name, way in (("pci_shmem_bar_map()", "helper"),
                      ("pci_request_region() and memremap()", "by_hand"),
                      ("pcim_shmem_bar_map()", "pcim_helper"),
                      ("devm_request_mem_region(), devm_memremap()", "devm")):
        yield f"  {name:<42}{counts[f'kernel.1G.16M.{way}']:>11}{counts[f'kernel.1G.64G.{way}']:>13}"
    yield f"  {'mmap(), read each page and munmap()':<42}{'64 MiB':>11}{'8 GiB':>13}"
    for name, what in (("the sample, with all sets", "sample"), ("resource2_wc, no driver bound", "resource2_wc")):
        yield f"  {name:<42}{counts[f'{what}.64M.read.all']:>11}{counts[f'{what}.8G.read.all']:>13}"


def plot(counts):
    for size in sizes_of(counts):
        yield " ".join([str(bytes_of(size)), *(str(counts.get(f"{what}.{size}.read.all", "?"))
                                               for what in ("sample", "resource2_wc", "tmpfs"))])


def same(one, other, slack):
    number_re = re.compile(r"\d+(?: \d{3}\b)*(?:\.\d+)?")
    if number_re.sub("", one) != number_re.sub("", other):
        return False
    pairs = zip(*([float(text.replace(" ", "")) for text in number_re.findall(each)] for each in (one, other)))
    return all(abs(a - b) <= max(VARIATION * max(a, b), slack) for a, b in pairs)


def main():
    what, *paths = sys.argv[1:]
    if what == "same":
        texts = []
        for path in paths:
            with open(path, encoding="utf-8") as file:
                texts.append(file.read())
        # Numbers of a graph are pixels
        return same(*texts, slack=1 if paths[0].endswith(".svg") else 0)
    counts = read(*paths)
    if what in ("short", "cover", "plot"):
        print(*{"short": short, "cover": cover, "plot": plot}[what](counts), sep="\n")
    else:
        tables = [kernel_table, user_table, text_table]
        if what != "unlimited":
            tables.append(limit_table)
        for table in tables:
            print(*table(counts), "", sep="\n")
    return True


if __name__ == "__main__":
    sys.exit(not main())
