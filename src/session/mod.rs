//! Classes, shots, backbone and adapter, held together.
