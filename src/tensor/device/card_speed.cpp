#include "tensor/device/card_speed.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "tensor/device/gpus.h"
#include "tensor/device/pinned.h"
#include "tensor/device/transfer.h"

namespace foregate::tensor {
namespace {

constexpr int64_t kSmallCopy = 4096;
constexpr double kBurstBytes = 1e9;
constexpr int64_t kFewestCopies = 16;
constexpr int64_t kMostCopies = 256;
constexpr int64_t kMatrixRows = 16384;  // of bfloat16 and as many columns: 512 MiB
constexpr int64_t kProductRows = 8192;
constexpr int kRounds = 5;

/// The best of some rounds of the same work, after one that does not count.
template <typename Work>
double best_seconds(torch::Device device, const RunContext& run, const Work& work) {
  double best = 0;
  for (int round = -1; round < kRounds; ++round) {
    run.stop.check("nothing was written");
    const DeviceEvent before = record_event(device);
    work();
    const double seconds = seconds_between(before, record_event(device));
    if (round == 0 || (round > 0 && seconds < best)) best = seconds;
  }
  return best;
}

CardSpeed::Copy measure_copies(int64_t bytes, torch::Device device, const RunContext& run) {
  const torch::Tensor host = pinned_copy(torch::ones({bytes}, torch::kUInt8));
  torch::Tensor target = torch::empty({bytes}, torch::dtype(torch::kUInt8).device(device));
  const int64_t copies = std::clamp(static_cast<int64_t>(kBurstBytes / static_cast<double>(bytes)),
                                    kFewestCopies, kMostCopies);
  const double seconds = best_seconds(device, run, [&] {
    for (int64_t i = 0; i < copies; ++i) target.copy_(host, /*non_blocking=*/true);
  });
  return {static_cast<double>(bytes), seconds / static_cast<double>(copies)};
}

double measure_reading(torch::Device device, const RunContext& run) {
  const auto options = torch::dtype(torch::kBFloat16).device(device);
  const torch::Tensor matrix = torch::ones({kMatrixRows, kMatrixRows}, options);
  const torch::Tensor vector = torch::ones({kMatrixRows}, options);
  const double seconds = best_seconds(device, run, [&] { matrix.mv(vector); });
  return static_cast<double>(matrix.nbytes()) / seconds;
}

double measure_products(torch::Device device, const RunContext& run) {
  const auto options = torch::dtype(torch::kBFloat16).device(device);
  const torch::Tensor a = torch::ones({kProductRows, kProductRows}, options);
  const double seconds = best_seconds(device, run, [&] { a.mm(a); });
  const auto rows = static_cast<double>(kProductRows);
  return 2 * rows * rows * rows / seconds;
}

}  // namespace

CardSpeed measure_card(torch::Device device, const RunContext& run) {
  if (!device.is_cuda())
    throw DeviceError(fmt::format("device \"{}\": only a GPU is measured", device.str()));
  CardSpeed speed;
  const std::vector<Gpu> gpus = visible_gpus();
  const auto index = static_cast<size_t>(std::max<int>(device.index(), 0));
  if (index < gpus.size()) speed.name = gpus[index].name;
  for (const int64_t bytes : {kSmallCopy, int64_t{1'000'000}, int64_t{4'900'000},
                              int64_t{8'650'000}, int64_t{17'300'000}, int64_t{64'000'000}})
    speed.copies.push_back(measure_copies(bytes, device, run));
  speed.bytes_per_second = measure_reading(device, run);
  speed.flops = measure_products(device, run);
  return speed;
}

}  // namespace foregate::tensor
