//! Which worker a packet goes to: all conversations of one server to the same, as far as ports tell which of the two it is.
//!
//! What was learned of a server in one conversation (names of nodes, subscriptions, which arguments of a method are secret) is needed in its
//! others. The kernel runs this program for each packet (PACKET_FANOUT_CBPF, `man 7 packet`) and takes its result modulo the number of workers.

use super::socket::Instruction;

/// Offsets from here on are of the network header, and the ethernet type of a packet (`linux/filter.h`: SKF_NET_OFF, SKF_AD_PROTOCOL).
const NETWORK: u32 = 0xfff0_0000;
const ETHER_TYPE: u32 = 0xffff_f000;

/// Codes of instructions (`linux/bpf_common.h`): A is the accumulator, X the index, M the scratch memory.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF_AT: u16 = 0x28;
const LOAD_WORD_INDEXED: u16 = 0x40;
const LOAD_HALF_INDEXED: u16 = 0x48;
const LOAD_BYTE_INDEXED: u16 = 0x50;
const LOAD_MEMORY: u16 = 0x60;
const X_CONSTANT: u16 = 0x01;
const X_MEMORY: u16 = 0x61;
const STORE: u16 = 0x02;
const ADD: u16 = 0x04;
const ADD_X: u16 = 0x0c;
const MULTIPLY: u16 = 0x24;
const AND: u16 = 0x54;
const SHIFT_LEFT: u16 = 0x64;
const SHIFT_RIGHT: u16 = 0x74;
const XOR_X: u16 = 0xac;
const A_TO_X: u16 = 0x07;
const X_TO_A: u16 = 0x87;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_EQUAL_X: u16 = 0x1d;
const IF_GREATER_X: u16 = 0x2d;
const RETURN: u16 = 0x06;
const RETURN_A: u16 = 0x16;

/// Scratch memory: the addresses of sender and receiver, the receiver's port.
const SENDER: u32 = 0;
const RECEIVER: u32 = 1;
const PORT: u32 = 2;

const fn step(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

const fn branch(code: u16, k: u32, if_so: u8, if_not: u8) -> Instruction {
    Instruction { code, jt: if_so, jf: if_not, k }
}

/// Both directions of a conversation have the same result. The server is whoever has the lower port; where ports are equal, or there are none, the
/// pair of addresses counts. What is neither IPv4 nor IPv6, behind one tag more than the kernel takes off, goes to the first worker.
pub const BY_SERVER: [Instruction; 47] = [
    step(LOAD_WORD, ETHER_TYPE),
    step(X_CONSTANT, 0),
    branch(IF_EQUAL, 0x8100, 1, 0),
    branch(IF_EQUAL, 0x88a8, 0, 2),
    step(LOAD_HALF_AT, NETWORK + 2),
    step(X_CONSTANT, 4),
    branch(IF_EQUAL, 0x0800, 2, 0),
    branch(IF_EQUAL, 0x86dd, 13, 0),
    step(RETURN, 0),
    // IPv4 (RFC 791, 3.1). Fragments have been put together.
    step(LOAD_WORD_INDEXED, NETWORK + 12),
    step(STORE, SENDER),
    step(LOAD_WORD_INDEXED, NETWORK + 16),
    step(STORE, RECEIVER),
    step(LOAD_BYTE_INDEXED, NETWORK + 9),
    branch(IF_EQUAL, 6, 1, 0),
    branch(IF_EQUAL, 17, 0, 25),
    step(LOAD_BYTE_INDEXED, NETWORK),
    step(AND, 15),
    step(SHIFT_LEFT, 2),
    step(ADD_X, 0),
    step(JUMP, 9),
    // IPv6 (RFC 8200, 3): the last four bytes of addresses.
    step(LOAD_WORD_INDEXED, NETWORK + 20),
    step(STORE, SENDER),
    step(LOAD_WORD_INDEXED, NETWORK + 36),
    step(STORE, RECEIVER),
    step(LOAD_BYTE_INDEXED, NETWORK + 6),
    branch(IF_EQUAL, 6, 1, 0),
    branch(IF_EQUAL, 17, 0, 13),
    step(X_TO_A, 0),
    step(ADD, 40),
    // Ports.
    step(A_TO_X, 0),
    step(LOAD_HALF_INDEXED, NETWORK + 2),
    step(STORE, PORT),
    step(LOAD_HALF_INDEXED, NETWORK),
    step(X_MEMORY, PORT),
    branch(IF_GREATER_X, 0, 3, 0),
    branch(IF_EQUAL_X, 0, 4, 0),
    step(LOAD_MEMORY, SENDER),
    step(JUMP, 5),
    step(LOAD_MEMORY, RECEIVER),
    step(JUMP, 3),
    // Neither is known to be the server.
    step(LOAD_MEMORY, SENDER),
    step(X_MEMORY, RECEIVER),
    step(XOR_X, 0),
    // The golden ratio of 32 bits: the results of neighbouring addresses are far from each other.
    step(MULTIPLY, 0x9e37_79b1),
    step(SHIFT_RIGHT, 16),
    step(RETURN_A, 0),
];
