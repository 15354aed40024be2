#pragma once

#include <torch/types.h>

namespace foregate::nn {

// The headers of this folder declare operations of nn/ on CUDA tensors, by the kernels of kernels/,
// on the current stream. Shapes have been checked; float32, bfloat16 or float16. A build with CUDA
// compiles this folder; one without compiles nn/no_cuda.cpp instead, where every question is
// answered no and every operation throws std::logic_error, as nobody may ask for it then.

/// Whether the operations of this folder take the tensor: it is on a GPU.
bool has_cuda_kernels(const torch::Tensor& tensor);

}  // namespace foregate::nn
