// SPDX-License-Identifier: GPL-2.0

//! Rust sample driver for a shared-memory BAR: QEMU's ivshmem-plain device.
//!
//! BAR 2 of the device is a file on the host. The first page of it is for the host to write to,
//! the second one for this driver. Each holds the length of a text as a little-endian 32-bit
//! word, and the text. When the driver is bound, it answers the host's text with the same in
//! upper case; when it is unbound, it takes that back. To try it, write a text to a file:
//!
//! ```text
//! printf '\5\0\0\0hello' > shm.bin
//! ```
//!
//! start QEMU with
//!
//! ```text
//! -object memory-backend-file,id=shm,share=on,mem-path=shm.bin,size=16K
//! -device ivshmem-plain,memdev=shm
//! ```
//!
//! load the module in the guest, and look at the file with `hexdump -C`.

use kernel::{
    device::Core,
    device_id::IdArray,
    io::{
        io_project,
        Io, //
    },
    pci::{
        self,
        CacheMode,
        SharedMemoryBar, //
    },
    prelude::*,
    sync::barrier::{
        mb,
        Read,
        Write, //
    }, //
};

const BAR: u32 = 2;

const PAGE: usize = 4096;
const HOST_LEN: usize = 0;
const HOST_TEXT: usize = HOST_LEN + 4;
const GUEST_LEN: usize = PAGE;
const GUEST_TEXT: usize = GUEST_LEN + 4;
const END: usize = 2 * PAGE;

struct Ivshmem<'bound> {
    bar: SharedMemoryBar<'bound, END>,
}

impl Ivshmem<'_> {
    fn answer(&self) -> Result {
        // The host may change it: what is checked is what is used.
        let len = u32::from_le(self.bar.read32(HOST_LEN));
        let size = len as usize;
        if size > PAGE - HOST_TEXT {
            return Err(EINVAL);
        }
        mb(Read); // The length first, then the text.

        let mut text = KVec::from_elem(0u8, size, GFP_KERNEL)?;
        io_project!(self.bar.bytes(), [try: HOST_TEXT..HOST_TEXT + size]).copy_to_slice(&mut text);

        text.make_ascii_uppercase();
        io_project!(self.bar.bytes(), [try: GUEST_TEXT..GUEST_TEXT + size]).copy_from_slice(&text);
        mb(Write); // The text first, then the length.
        self.bar.write32(len.to_le(), GUEST_LEN);

        Ok(())
    }
}

// No `pci_device_table!`: by its alias, this would be loaded for devices that others use.
static IDS: IdArray<pci::DeviceId, (), 1> = IdArray::new([(
    pci::DeviceId::from_id(pci::Vendor::REDHAT_QUMRANET, 0x1110),
    &(),
)]);

struct IvshmemDriver;

impl pci::Driver for IvshmemDriver {
    type IdInfo = ();
    type Data<'bound> = Ivshmem<'bound>;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &IDS;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        pdev.enable_device_managed()?;

        let bar = pdev.map_shared_memory_bar(BAR, CacheMode::WriteBack, c"rust_driver_ivshmem")?;
        let ivshmem = Ivshmem { bar };

        ivshmem.answer()?;

        Ok(ivshmem)
    }

    // Then `Ivshmem` is dropped, which unmaps the BAR, and the device is disabled.
    fn unbind<'bound>(_pdev: &'bound pci::Device<Core<'_>>, this: Pin<&Self::Data<'bound>>) {
        this.bar.write32(0, GUEST_LEN);
    }
}

kernel::module_pci_driver! {
    type: IvshmemDriver,
    name: "rust_driver_ivshmem",
    description: "Rust sample driver for a shared-memory BAR (QEMU ivshmem-plain)",
    license: "GPL",
}
