// SPDX-License-Identifier: GPL-2.0

//! Keeps a device-managed shared-memory BAR longer than the driver is bound: the file
//! "late/word" in debugfs is the first word of the memory as long as there is any.

use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    device::Core,
    device_id::IdArray,
    driver,
    fmt,
    io::Io,
    pci::{
        self,
        CacheMode,
        DevresSharedMemoryBar,
        SharedMemoryBar, //
    },
    prelude::*,
    InPlaceModule, //
};

const SIZE: usize = 8;

type Kept = Option<DevresSharedMemoryBar<SIZE>>;

kernel::sync::global_lock! {
    // SAFETY: Initialized when the module is, before the driver and the file are there.
    unsafe(uninit) static KEPT: Mutex<Kept> = None;
}

fn word(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match KEPT.lock().as_ref() {
        None => writeln!(f, "never bound"),
        Some(bar) => match bar.try_access() {
            None => writeln!(f, "revoked"),
            Some(bar) => writeln!(f, "{:#x} of {} bytes", bar.read32(0), bar.len()),
        },
    }
}

static IDS: IdArray<pci::DeviceId, (), 1> = IdArray::new([(
    pci::DeviceId::from_id(pci::Vendor::REDHAT_QUMRANET, 0x1110),
    &(),
)]);

struct LateDriver;

impl pci::Driver for LateDriver {
    type IdInfo = ();
    type Data<'bound> = Self;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &IDS;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        pdev.enable_device_managed()?;

        let bar: SharedMemoryBar<'_, SIZE> =
            pdev.map_shared_memory_bar(2, CacheMode::WriteCombining, c"late")?;
        let start = bar.phys_start();
        let bar = bar.into_devres()?;

        // While it is bound, there is no need to ask.
        if start != bar.access(pdev.as_ref())?.phys_start() {
            return Err(EIO);
        }

        let before = KEPT.lock().replace(bar);
        drop(before);

        Ok(Self)
    }
}

#[pin_data(PinnedDrop)]
struct Late {
    #[pin]
    _driver: driver::Registration<pci::Adapter<LateDriver>>,
    #[pin]
    _word: File<()>,
    _dir: Dir,
}

impl InPlaceModule for Late {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: Called once.
        unsafe { KEPT.init() };

        let dir = Dir::new(c"late");

        try_pin_init!(Self {
            _driver <- driver::Registration::new(<Self as kernel::ModuleMetadata>::NAME, module),
            _word <- dir.read_callback_file(c"word", (), &word),
            _dir: dir,
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Late {
    fn drop(self: Pin<&mut Self>) {
        let kept = KEPT.lock().take();
        drop(kept);
    }
}

module! {
    type: Late,
    name: "late",
    description: "Keeps a shared-memory BAR too long, for the boot test",
    license: "GPL",
}
