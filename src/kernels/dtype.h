#pragma once

namespace foregate::kernels {

/// Element types that every kernel is compiled for; arithmetic is always in float32.
enum class DType { kFloat32, kBFloat16, kFloat16 };

}  // namespace foregate::kernels
