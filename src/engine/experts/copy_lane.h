#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "tensor/device/transfer.h"

namespace foregate::engine {

/// Some of an expert's bytes, on their way to the compute device.
struct ExpertPiece {
  torch::Tensor to;    ///< [n] uint8, on the device
  torch::Tensor from;  ///< [n] uint8, in the host's memory
};

/// Moves bytes from the host's memory to a device, behind the back of what the device computes.
/// Used by one thread at a time.
class CopyLane {
 public:
  using Ticket = uint64_t;
  virtual ~CopyLane() = default;

  /// Begins a copy once `after` has happened on the device (null: at once). Both tensors stay as
  /// they are until it is over.
  virtual Ticket begin(const ExpertPiece& piece, const tensor::DeviceEvent& after) = 0;
  /// Blocks until it is over, which it is once.
  virtual void finish(Ticket ticket) = 0;
  /// What the caller's stream is given from now on begins when it is over; on the CPU as finish().
  virtual void finish_on_stream(Ticket ticket) = 0;
};

using MakeCopyLane = std::function<std::unique_ptr<CopyLane>(torch::Device)>;

/// Of a GPU a stream of its own; of the CPU, where the device's memory is the host's as well, plain
/// copies, which are over when they have begun.
std::unique_ptr<CopyLane> make_copy_lane(torch::Device device);

}  // namespace foregate::engine
