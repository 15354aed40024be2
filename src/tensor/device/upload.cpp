#include "tensor/device/upload.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <cstring>

namespace foregate::tensor {
namespace {

constexpr int64_t kSlotBytes = int64_t{32} << 20;
constexpr int64_t kGrainBytes = int64_t{256} << 10;

}  // namespace

torch::Tensor Uploader::upload(const torch::Tensor& source) {
  if (device_.is_cpu()) return source;
  const torch::Tensor rows = source.contiguous();
  torch::Tensor result = torch::empty(rows.sizes(), rows.options().device(device_));
  const auto total = static_cast<int64_t>(rows.nbytes());
  const auto* bytes = static_cast<const char*>(rows.const_data_ptr());
  const torch::Tensor target = result.view({-1}).view(torch::kUInt8);
  for (int64_t first = 0; first < total; first += kSlotBytes) {
    const int64_t count = std::min(kSlotBytes, total - first);
    Slot& slot = slots_[next_];
    next_ = (next_ + 1) % slots_.size();
    if (!slot.pinned.defined()) {
      slot.pinned = torch::empty({kSlotBytes},
                                 torch::TensorOptions().dtype(torch::kUInt8).pinned_memory(true));
    }
    wait_for(slot.last_copy);
    auto* pinned = static_cast<char*>(slot.pinned.mutable_data_ptr());
    at::parallel_for(0, count, kGrainBytes, [&](int64_t begin, int64_t end) {
      std::memcpy(pinned + begin, bytes + first + begin, static_cast<size_t>(end - begin));
    });
    target.narrow(0, first, count).copy_(slot.pinned.narrow(0, 0, count), /*non_blocking=*/true);
    slot.last_copy = record_event(device_);
  }
  return result;
}

}  // namespace foregate::tensor
