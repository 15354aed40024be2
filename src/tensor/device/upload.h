#pragma once

#include <torch/types.h>

#include <array>

#include "tensor/device/transfer.h"

namespace foregate::tensor {

/// Brings large host tensors to a device. Towards a GPU they go through two pinned buffers: all
/// threads fill one from the (mapped) source while the GPU's copy engine empties the other. A plain
/// copy from pageable memory does both in turn, on one thread.
class Uploader {
 public:
  explicit Uploader(torch::Device device) : device_(device) {}

  /// The tensor on the device; itself if that is the CPU. When this returns, `source` has been
  /// read; work queued afterwards on the current stream sees the result.
  torch::Tensor upload(const torch::Tensor& source);  // on the CPU

 private:
  struct Slot {
    torch::Tensor pinned;   ///< [kSlotBytes] uint8
    DeviceEvent last_copy;  ///< out of `pinned`
  };

  torch::Device device_;
  std::array<Slot, 2> slots_;
  size_t next_ = 0;
};

}  // namespace foregate::tensor
