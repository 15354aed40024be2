#include "engine/experts/copy_lane.h"

#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <torch/types.h>

#include <cstring>
#include <unordered_map>

namespace foregate::engine {
namespace {

class HostLane : public CopyLane {
 public:
  Ticket begin(const ExpertPiece& piece, const tensor::DeviceEvent& /*after*/) override {
    std::memcpy(piece.to.mutable_data_ptr(), piece.from.const_data_ptr(), piece.from.nbytes());
    return 0;
  }
  void finish(Ticket /*ticket*/) override {}
  void finish_on_stream(Ticket /*ticket*/) override {}
};

class StreamLane : public CopyLane {
 public:
  explicit StreamLane(torch::Device device)
      : device_(device), stream_(tensor::new_stream(device)) {}

  Ticket begin(const ExpertPiece& piece, const tensor::DeviceEvent& after) override {
    const c10::InferenceMode inference;  // of this thread
    const c10::StreamGuard guard(stream_);
    tensor::wait_on_stream(after, device_);
    torch::Tensor to = piece.to;
    to.copy_(piece.from, /*non_blocking=*/true);
    under_way_.emplace(++last_, tensor::record_event(device_));
    return last_;
  }
  void finish(Ticket ticket) override { tensor::wait_for(take(ticket)); }
  void finish_on_stream(Ticket ticket) override { tensor::wait_on_stream(take(ticket), device_); }

 private:
  tensor::DeviceEvent take(Ticket ticket) { return under_way_.extract(ticket).mapped(); }

  torch::Device device_;
  c10::Stream stream_;
  Ticket last_ = 0;
  std::unordered_map<Ticket, tensor::DeviceEvent> under_way_;
};

}  // namespace

std::unique_ptr<CopyLane> make_copy_lane(torch::Device device) {
  if (device.is_cpu()) return std::make_unique<HostLane>();
  return std::make_unique<StreamLane>(device);
}

}  // namespace foregate::engine
