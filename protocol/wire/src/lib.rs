//! Generated code only: the FlatBuffers tables of the wire.
