#pragma once

#include <torch/types.h>

#include <array>

#include "tensor/transfer.h"

namespace foregate {

/// Brings large host tensors to a device. Towards a GPU they go through two pinned buffers: all
/// threads fill one from the (mapped) source while the GPU's copy engine empties the other. A plain
/// copy from pageable memory does both in turn, on one thread.
class Uploader {
 public:
  explicit Uploader(torch::Device device) : device_(device) {}

  /// destination = source, converted on the device if they differ in dtype. When this returns the
  /// source has been read; work queued afterwards on the current stream sees the destination.
  void copy(const torch::Tensor& source,  // on the CPU, contiguous
            torch::Tensor destination);   // on the device, of the same shape

 private:
  struct Slot {
    torch::Tensor pinned;    ///< [kSlotBytes] uint8
    PendingEvent last_copy;  ///< out of `pinned`
  };
  /// Both contiguous and of the same dtype.
  void copy_bytes(const torch::Tensor& source, const torch::Tensor& destination);

  torch::Device device_;
  std::array<Slot, 2> slots_;
  size_t next_ = 0;
};

}  // namespace foregate
