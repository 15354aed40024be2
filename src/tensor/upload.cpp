#include "tensor/upload.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstring>

namespace foregate {
namespace {

constexpr int64_t kSlotBytes = int64_t{32} << 20;
constexpr int64_t kGrainBytes = int64_t{256} << 10;

}  // namespace

void Uploader::copy(const torch::Tensor& source, torch::Tensor destination) {
  TORCH_CHECK(source.device().is_cpu() && source.sizes() == destination.sizes(),
              "upload: source is ", source.sizes(), " on ", source.device(), ", destination ",
              destination.sizes(), "; expected equal shapes, the source on the CPU");
  if (device_.is_cpu() || !source.is_contiguous() || source.numel() == 0) {
    destination.copy_(source);
  } else if (source.scalar_type() == destination.scalar_type() && destination.is_contiguous()) {
    copy_bytes(source, destination);
  } else {
    const torch::Tensor same = torch::empty(source.sizes(), source.options().device(device_));
    copy_bytes(source, same);
    destination.copy_(same);
  }
}

void Uploader::copy_bytes(const torch::Tensor& source, const torch::Tensor& destination) {
  const auto total = static_cast<int64_t>(source.nbytes());
  const auto* bytes = static_cast<const char*>(source.const_data_ptr());
  const torch::Tensor target = destination.view({-1}).view(torch::kUInt8);
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
    slot.last_copy = timing_mark(device_);
  }
}

}  // namespace foregate
