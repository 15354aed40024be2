#include "tensor/device/transfer.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/types.h>

namespace foregate::tensor {
namespace {

c10::Stream current_stream(torch::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

}  // namespace

torch::Tensor to_device(const torch::Tensor& host, torch::Device device) {
  if (device.is_cpu()) return host;
  return host.pin_memory().to(device, /*non_blocking=*/true);
}

void copy_to_device(const torch::Tensor& host, torch::Tensor& target) {
  target.copy_(target.is_cpu() ? host : host.pin_memory(), /*non_blocking=*/true);
}

DeviceEvent record_event(torch::Device device) {
  if (device.is_cpu()) return nullptr;
  // The backend's default, unlike torch's, is an event that can be timed.
  auto event = std::make_shared<c10::Event>(device.type(), c10::EventFlag::BACKEND_DEFAULT);
  event->record(current_stream(device));
  return event;
}

double seconds_between(const DeviceEvent& first, const DeviceEvent& second) {
  if (!first || !second) return 0;
  second->synchronize();
  return first->elapsedTime(*second) * 1e-3;
}

void wait_on_stream(const DeviceEvent& event, torch::Device device) {
  if (event) event->block(current_stream(device));
}

c10::Stream new_stream(torch::Device device) {
  return c10::impl::VirtualGuardImpl(device.type())
      .getStreamFromGlobalPool(device, /*isHighPriority=*/false);
}

torch::Tensor HostCopier::start(const torch::Tensor& tensor) {
  if (tensor.device().is_cpu()) return tensor;
  const c10::InferenceMode inference;
  const torch::Device device = tensor.device();
  if (!stream_) stream_ = new_stream(device);
  c10::Event computed(device.type());
  computed.record(current_stream(device));
  computed.block(*stream_);
  torch::Tensor host =
      torch::empty(tensor.sizes(), tensor.options().device(torch::kCPU).pinned_memory(true));
  const c10::StreamGuard use(*stream_);
  host.copy_(tensor, /*non_blocking=*/true);
  // Freed by its owner, the memory must not be handed out again before the copy has read it.
  tensor.record_stream(*stream_);
  return host;
}

DeviceEvent HostCopier::flush() {
  if (!stream_) return nullptr;
  auto event = std::make_shared<c10::Event>(stream_->device_type());
  event->record(*stream_);
  return event;
}

void wait_for(const DeviceEvent& event) {
  if (event) event->synchronize();
}

}  // namespace foregate::tensor
