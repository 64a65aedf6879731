//! Writes the table of makers of network cards (`src/maker.rs`) from the registries of the IEEE.
//!
//! The crate that holds the registries keeps them as references, of which a loader has to relocate each: 8 MiB that every process would
//! hold for a few look-ups. Numbers and one text need none of that, and lie in the file until they are read.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    let mut makers = BTreeMap::new();
    for record in oui_data::OUI_ENTRIES.values() {
        let digits = record.oui();
        let bits = 4 * u64::try_from(digits.len())?;
        makers.insert(u64::from_str_radix(digits, 16)? << (64 - bits) | bits, record.organization());
    }
    let mut places = BTreeMap::new();
    let (mut names, mut ends) = (String::new(), Vec::new());
    for name in makers.values() {
        places.entry(*name).or_insert_with(|| {
            names.push_str(name);
            ends.push(names.len());
            ends.len() - 1
        });
    }
    let of: Vec<_> = makers.values().filter_map(|name| places.get(name)).collect();
    let count = makers.len();
    let table = format!(
        "static PREFIXES: [u64; {count}] = {:?};\nstatic PLACES: [u32; {count}] = {of:?};\nstatic ENDS: [u32; {}] = {ends:?};\nstatic NAMES: &str = {names:?};\n",
        makers.keys().collect::<Vec<_>>(),
        ends.len(),
    );
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names no folder for what is built")?);
    fs::write(folder.join("makers.rs"), table)?;
    Ok(())
}
