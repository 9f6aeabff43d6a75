// SPDX-License-Identifier: GPL-2.0

//! PCI BARs that are memory shared with another party.
//!
//! C header: [`include/linux/pci-shmem-bar.h`](srctree/include/linux/pci-shmem-bar.h)

use super::Device;
use crate::{
    bindings,
    device,
    devres::DevresLt,
    error::from_err_ptr,
    io::{
        IoBase,
        PhysAddr,
        Region,
        SysMem,
        SysMemBackend, //
    },
    prelude::*,
    types::{
        CovariantForLt,
        ForLt, //
    }, //
};
use core::ptr::NonNull;

/// How the CPU caches a [`SharedMemoryBar`].
///
/// This is a request, see `Documentation/driver-api/pci/shmem-bar.rst`, which also says which
/// barriers go with which mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    /// Write-back, as ordinary memory: for what is RAM of the other party.
    WriteBack,
    /// Write-combining: for what the other party has mapped uncached or write-combining.
    WriteCombining,
}

impl CacheMode {
    #[inline]
    const fn into_memremap_flags(self) -> c_ulong {
        // CAST: The constants are small positive integers.
        match self {
            Self::WriteBack => bindings::MEMREMAP_WB as c_ulong,
            Self::WriteCombining => bindings::MEMREMAP_WC as c_ulong,
        }
    }
}

/// A PCI BAR that is memory shared with another party, claimed and mapped.
///
/// It is for BARs that hold no registers, for which there is [`pci::Bar`], but memory: of a
/// hypervisor, of another guest, or of the device's firmware. The mapping is decrypted in a
/// confidential guest.
///
/// The BAR has at least `SIZE` bytes, or mapping it fails with [`EINVAL`]. Accesses within the
/// first `SIZE` bytes can be checked at compile time, as in [`read32`]; others are checked at
/// run time, as in [`try_read32`]. They are those of [`SysMem`]: volatile, in the byte order of
/// the CPU, and not ordered with each other, which takes a barrier such as [`mb`].
///
/// [`Region`] is aligned to 4 bytes, so accesses of 8 bytes are always checked at run time.
///
/// The other party can change any byte at any time. So there is no way to get a reference or a
/// slice of this memory: a value is read once, and the copy is what can be checked and used.
/// [`Io::copy_read`] and [`Io::copy_to_slice`] make copies that are no snapshot.
///
/// Dropping it unmaps the BAR and releases the claim on it. It cannot outlive the binding of the
/// driver; what can run later takes a [`DevresSharedMemoryBar`].
///
/// # Examples
///
/// ```
/// # #![cfg(CONFIG_PCI_SHMEM_BAR)]
/// use kernel::{
///     device::Bound,
///     io::Io,
///     pci::{
///         self,
///         CacheMode,
///         SharedMemoryBar, //
///     },
///     prelude::*, //
/// };
///
/// const MAGIC: usize = 0x0;
/// const COUNT: usize = 0x4;
/// const END: usize = 0x8;
///
/// // The other party says how many words follow: not more than there are in the BAR.
/// fn sum<'a>(pdev: &'a pci::Device<Bound>) -> Result<u32> {
///     let bar: SharedMemoryBar<'a, END> =
///         pdev.map_shared_memory_bar(2, CacheMode::WriteBack, c"example")?;
///
///     if u32::from_le(bar.read32(MAGIC)) != 0x666f_6f21 {
///         return Err(ENODEV);
///     }
///
///     let mut sum = 0u32;
///     for i in 0..u32::from_le(bar.read32(COUNT)) as usize {
///         let offset = i.checked_mul(4).and_then(|n| n.checked_add(END)).ok_or(EINVAL)?;
///         sum = sum.wrapping_add(u32::from_le(bar.try_read32(offset)?));
///     }
///     Ok(sum)
/// }
/// ```
///
/// # Invariants
///
/// `shm` was returned by `pci_shmem_bar_map()` and is owned by this object. `mem` is its mapping:
/// `(*shm).addr` and `(*shm).len`, where the length is at least `SIZE` and a multiple of 4, and
/// the address is aligned to 4 bytes.
///
/// [`Io::copy_read`]: crate::io::Io::copy_read
/// [`Io::copy_to_slice`]: crate::io::Io::copy_to_slice
/// [`mb`]: crate::sync::barrier::mb
/// [`pci::Bar`]: super::Bar
/// [`read32`]: crate::io::Io::read32
/// [`try_read32`]: crate::io::Io::try_read32
pub struct SharedMemoryBar<'a, const SIZE: usize = 0> {
    pdev: &'a Device<device::Bound>,
    shm: NonNull<bindings::pci_shmem_bar>,
    mem: *mut Region<SIZE>,
}

// SAFETY: `pci_shmem_bar_unmap()` may be called by any thread that can sleep, and so may what the
// memory is accessed with. `Device<Bound>` is `Sync`.
unsafe impl<const SIZE: usize> Send for SharedMemoryBar<'_, SIZE> {}

// SAFETY: A `struct pci_shmem_bar` does not change between map and unmap. The memory does, but by
// volatile accesses of all parties, and there are no references into it.
unsafe impl<const SIZE: usize> Sync for SharedMemoryBar<'_, SIZE> {}

impl<const SIZE: usize> ForLt for SharedMemoryBar<'static, SIZE> {
    type Of<'a> = SharedMemoryBar<'a, SIZE>;
}

// SAFETY: `SharedMemoryBar<'a, SIZE>` is covariant over `'a`; it holds `&'a Device<Bound>`, which
// is covariant, and nothing else that depends on `'a`.
unsafe impl<const SIZE: usize> CovariantForLt for SharedMemoryBar<'static, SIZE> {}

/// A device-managed [`SharedMemoryBar`].
///
/// See [`SharedMemoryBar::into_devres`].
pub type DevresSharedMemoryBar<const SIZE: usize = 0> = DevresLt<SharedMemoryBar<'static, SIZE>>;

impl<'a, const SIZE: usize> SharedMemoryBar<'a, SIZE> {
    fn new(
        pdev: &'a Device<device::Bound>,
        bar: u32,
        mode: CacheMode,
        name: &'static CStr,
    ) -> Result<Self> {
        let num = c_int::try_from(bar)?;

        // SAFETY:
        // - `pdev` is valid by the invariants of `Device`, and bound.
        // - `pci_shmem_bar_map()` checks all other arguments but `name`.
        // - `name` is a C string that lives longer than the mapping, as it lives forever.
        let shm = from_err_ptr(unsafe {
            bindings::pci_shmem_bar_map(
                pdev.as_raw(),
                num,
                SIZE,
                mode.into_memremap_flags(),
                name.as_char_ptr(),
            )
        })?;

        // `pci_shmem_bar_map()` never returns NULL.
        let shm = NonNull::new(shm).ok_or(ENOMEM)?;

        // SAFETY: `pci_shmem_bar_map()` returned an object that is valid until it is unmapped.
        let (addr, len) = unsafe { ((*shm.as_ptr()).addr, (*shm.as_ptr()).len) };

        match Region::ptr_try_from_raw_parts_mut(addr.cast(), len) {
            // INVARIANT: `shm` has just been returned, and nobody else has it. Its length and
            // alignment have been checked.
            Ok(mem) => Ok(Self { pdev, shm, mem }),
            Err(err) => {
                // SAFETY: `shm` has just been returned, and nobody else has it.
                unsafe { bindings::pci_shmem_bar_unmap(shm.as_ptr()) };
                Err(err)
            }
        }
    }

    /// Returns the physical address of the BAR, as the CPU sees it.
    ///
    /// It is for the kernel's own use, and not to be shown to user space.
    #[inline]
    pub fn phys_start(&self) -> PhysAddr {
        // SAFETY: By the type invariants, `shm` is valid, and it does not change.
        unsafe { self.shm.as_ref() }.phys_start
    }

    /// Returns the length of the BAR in bytes, which is never 0.
    #[inline]
    #[expect(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        // SAFETY: By the type invariants, `shm` is valid, and it does not change.
        unsafe { self.shm.as_ref() }.len
    }

    /// Returns all of the memory as bytes, to copy a range of it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #![cfg(CONFIG_PCI_SHMEM_BAR)]
    /// # use kernel::{io::{io_project, Io}, pci::SharedMemoryBar, prelude::*};
    /// fn name(bar: &SharedMemoryBar<'_>) -> Result<[u8; 16]> {
    ///     let mut name = [0; 16];
    ///
    ///     io_project!(bar.bytes(), [try: 0x40..0x50]).copy_to_slice(&mut name);
    ///     Ok(name)
    /// }
    /// ```
    #[inline]
    pub fn bytes(&self) -> SysMem<'_, [u8]> {
        let ptr = core::ptr::slice_from_raw_parts_mut(self.mem.cast::<u8>(), self.len());

        // SAFETY: By the type invariants, this is the mapping of `shm`, which lives as long as
        // `self` is borrowed.
        unsafe { SysMem::new(ptr) }
    }

    /// Consumes the BAR and has the device own it.
    ///
    /// The returned [`DevresSharedMemoryBar`] can be kept longer than the driver is bound, for
    /// instance by what user space has open. Access is revoked, and the BAR unmapped, when the
    /// driver is unbound, or earlier if that is dropped.
    pub fn into_devres(self) -> Result<DevresSharedMemoryBar<SIZE>> {
        let pdev = self.pdev;

        // SAFETY: A `SharedMemoryBar` only holds a reference to the device and the mapping, both
        // of which remain valid as long as the device is bound, not just for `'a`.
        unsafe { DevresLt::new(pdev.as_ref(), self) }
    }
}

impl<const SIZE: usize> Drop for SharedMemoryBar<'_, SIZE> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, `shm` is owned by `self`. Since `self` has a reference
        // to the bound device, this is before the device is removed.
        unsafe { bindings::pci_shmem_bar_unmap(self.shm.as_ptr()) };
    }
}

impl<'a, const SIZE: usize> IoBase<'a> for &'a SharedMemoryBar<'_, SIZE> {
    type Backend = SysMemBackend;
    type Target = Region<SIZE>;

    #[inline]
    fn as_view(self) -> SysMem<'a, Self::Target> {
        // SAFETY: By the type invariants, `mem` is a valid and aligned mapping, which lives as
        // long as `self` is borrowed.
        unsafe { SysMem::new(self.mem) }
    }
}

impl Device<device::Bound> {
    /// Claims a BAR that is shared memory and maps all of it.
    ///
    /// The device has to be enabled. `bar` is 0 to 5, and `name` is the owner to show in
    /// `/proc/iomem`. Accesses within the first `SIZE` bytes can be checked at compile time.
    ///
    /// # Errors
    ///
    /// Those of `pcim_shmem_bar_map()`:
    ///
    /// - [`EINVAL`]: there cannot be such a BAR, it is one of I/O ports, or it is shorter than
    ///   `SIZE`;
    /// - [`ENXIO`]: the device does not have the BAR, or it has no address;
    /// - [`EFBIG`]: its length does not fit in [`usize`];
    /// - [`EBUSY`]: somebody else has claimed it, or part of it;
    /// - [`ENOMEM`]: there is no memory, or the mapping failed;
    /// - [`EOPNOTSUPP`]: the architecture cannot map a BAR as memory in this mode.
    pub fn map_shared_memory_bar<'a, const SIZE: usize>(
        &'a self,
        bar: u32,
        mode: CacheMode,
        name: &'static CStr,
    ) -> Result<SharedMemoryBar<'a, SIZE>> {
        SharedMemoryBar::new(self, bar, mode, name)
    }
}
