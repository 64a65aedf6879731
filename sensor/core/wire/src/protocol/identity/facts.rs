//! Where sources put what they find: text is cleaned here, once for all.

use crate::device::Device;
use crate::packet::Address;
use crate::record::mac_text;
use crate::record::table::Attribute;

/// Longest text of a fact, in bytes; longer ones are cut.
pub const TEXT_BYTES: usize = 256;

/// Takes facts from a source: about the sender (None) or about another device.
pub type Learn<'l> = dyn FnMut(Option<Device>, Attribute, &str) + 'l;

/// What a source finds in one message.
pub struct Facts<'f> {
    learn: &'f mut Learn<'f>,
    about: Option<Device>,
}

impl<'f> Facts<'f> {
    /// Gives what is found to `learn`.
    pub fn new(learn: &'f mut Learn<'f>) -> Self {
        Self { learn, about: None }
    }

    /// What follows is about this device, no longer about the sender.
    pub fn about(&mut self, mac: Option<[u8; 6]>, ip: Option<Address>) {
        self.about = Some(Device { mac, ip });
    }

    /// A text as the device gave it: what is not UTF-8 is replaced, control characters are dropped, blanks around it too. Nothing is left of
    /// it: no fact.
    pub fn say(&mut self, attribute: Attribute, text: &[u8]) {
        // Enough for the bound, whatever is dropped.
        let text = text.get(..text.len().min(4 * TEXT_BYTES)).unwrap_or_default();
        let clean: String = String::from_utf8_lossy(text).chars().filter(|letter| !letter.is_control()).collect();
        let clean = clean.trim();
        let end = (0..=clean.len().min(TEXT_BYTES)).rev().find(|end| clean.is_char_boundary(*end)).unwrap_or(0);
        if let Some(value) = clean.get(..end).filter(|value| !value.is_empty()) {
            (self.learn)(self.about, attribute, value);
        }
    }

    /// A text up to its first zero byte.
    pub fn say_padded(&mut self, attribute: Attribute, text: &[u8]) {
        self.say(attribute, text.split(|byte| *byte == 0).next().unwrap_or_default());
    }

    /// A hardware address of the device, as text; not that of a group, and not zero.
    pub fn say_mac(&mut self, mac: [u8; 6]) {
        let [first, ..] = mac;
        if first & 1 == 0 && mac != [0; 6] {
            let text = mac_text(mac);
            (self.learn)(self.about, Attribute::Address, &text);
        }
    }

    /// A network address of the device; not the unspecified one.
    pub fn say_ip(&mut self, address: Address) {
        if !address.is_unspecified() {
            (self.learn)(self.about, Attribute::Address, &address.to_string());
        }
    }
}
