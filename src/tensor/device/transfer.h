#pragma once

#include <c10/core/Event.h>
#include <torch/types.h>

#include <memory>
#include <optional>

namespace foregate::tensor {

/// A CPU tensor on `device`. Towards a GPU it goes through pinned memory, and the caller does not
/// wait: work queued afterwards on the current stream sees it.
torch::Tensor to_device(const torch::Tensor& host, torch::Device device);
/// The same into a tensor that is there already.
void copy_to_device(const torch::Tensor& host, torch::Tensor& target);

/// Something under way on a GPU; on the CPU, nothing.
using DeviceEvent = std::shared_ptr<const c10::Event>;

/// Marks what has been queued so far on the current stream of `device`, also for timing.
DeviceEvent record_event(torch::Device device);
/// Seconds from one mark to a later one; waits for the later one. 0 on the CPU.
double seconds_between(const DeviceEvent& first, const DeviceEvent& second);

/// What the current stream of `device` is given from now on begins after `event`.
void wait_on_stream(const DeviceEvent& event, torch::Device device);
/// Another queue of the device's.
c10::Stream new_stream(torch::Device device);

/// Moves results to the host behind the device's back: pinned buffers, a stream of its own. The
/// device goes on with later work meanwhile. CPU tensors pass through.
class HostCopier {
 public:
  /// Starts a copy of what the current stream has queued for `tensor`. The result may be read after
  /// the event that flush() returns afterwards.
  torch::Tensor start(const torch::Tensor& tensor);
  /// Marks the end of all copies started so far; nothing if there were none.
  DeviceEvent flush();

 private:
  std::optional<c10::Stream> stream_;
};

/// Blocks until `event` has happened. Nothing to wait for without one.
void wait_for(const DeviceEvent& event);

}  // namespace foregate::tensor
