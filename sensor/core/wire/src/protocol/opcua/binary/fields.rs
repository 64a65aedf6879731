//! Structures that are their fields in order (OPC 10000-6, 5.2.6): declared once, decoded from the declaration.

/// Declares a structure and reads it field by field, in the order in which they stand. Least length: the sum of its fields'.
macro_rules! structure {
    ($(#[$doc:meta])* $vis:vis struct $name:ident<$life:lifetime> {
        $($(#[$field_doc:meta])* $field_vis:vis $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        $vis struct $name<$life> { $($(#[$field_doc])* $field_vis $field: $type,)* }

        impl<$life> $crate::protocol::opcua::binary::Decode<$life> for $name<$life> {
            const LEAST: usize = 0 $(+ <$type as $crate::protocol::opcua::binary::Decode<$life>>::LEAST)*;

            fn decode(
                reader: &mut $crate::protocol::opcua::binary::Reader<$life>,
            ) -> Result<Self, $crate::protocol::opcua::binary::Fault> {
                Ok(Self { $($field: reader.read()?,)* })
            }
        }
    };
    ($(#[$doc:meta])* $vis:vis struct $name:ident {
        $($(#[$field_doc:meta])* $field_vis:vis $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        $vis struct $name { $($(#[$field_doc])* $field_vis $field: $type,)* }

        impl<'a> $crate::protocol::opcua::binary::Decode<'a> for $name {
            const LEAST: usize = 0 $(+ <$type as $crate::protocol::opcua::binary::Decode<'a>>::LEAST)*;

            fn decode(
                reader: &mut $crate::protocol::opcua::binary::Reader<'a>,
            ) -> Result<Self, $crate::protocol::opcua::binary::Fault> {
                Ok(Self { $($field: reader.read()?,)* })
            }
        }
    };
}

pub(in crate::protocol::opcua) use structure;
