#include <fmt/format.h>

#include <array>
#include <vector>

#include "base/error.h"
#include "offload/time/hardware.h"

namespace foregate::offload {
namespace {

constexpr double kGB = 1e9;
constexpr double kTera = 1e12;
constexpr double kMicro = 1e-6;
/// Of a host with dual-channel DDR5, and what is left of it beside a busy link: two thirds, as
/// measured on hosts of 8 channels (84.5 and 54 GB/s; 110 and 93).
constexpr double kDesktopHost = 60 * kGB;
constexpr double kBesideLink = 0.65;

/// Copies of small pieces are slower: the rates below are those of pieces of 16 MB and more, and
/// smaller ones fall off as measured on an H200 (1 MB 0.67, 5 MB 0.89, 9 MB 0.91 of it).
LinkSpeed pcie(double bytes_per_second) {
  return {6.5 * kMicro,
          {{1e6, 0.67 * bytes_per_second},
           {4.91e6, 0.89 * bytes_per_second},
           {8.65e6, 0.91 * bytes_per_second},
           {17.3e6, 0.94 * bytes_per_second},
           {64e6, bytes_per_second}}};
}

LinkSpeed nvme(double bytes_per_second) {
  return {80 * kMicro, {{1e6, bytes_per_second}}};
}

/// As published summaries of the vendor's data sheets have them, not measured: memory bandwidth,
/// and products of 16-bit numbers summed in float32, without sparsity (of the A6000 155 TFLOPS, of
/// the 5090 a quarter of its 838 in 16-bit sums with sparsity).
struct Card {
  const char* name;
  double bandwidth;  // of its data sheet, bytes a second
  double flops;      // the same: dense, 16 bits
  double link;       // measured, bytes a second
  double storage;
  const char* source;
};

// Kernels at batch 1 reach about 80% of a card's bandwidth, large products about 60% of its peak.
constexpr double kOfBandwidth = 0.8;
constexpr double kOfFlops = 0.6;

constexpr const char* kGen3 =
    "data sheet; PCIe 3 x16: 13.2 GB/s measured (FlashML-org/FreeToken issue 131); host and NVMe "
    "assumed";
constexpr const char* kGen4 =
    "data sheet; PCIe 4 x16: 25 GB/s, 24 to 26 measured (FlashML-org/FreeToken issues 232, 444); "
    "host "
    "and NVMe assumed";
constexpr const char* kGen5 =
    "data sheet; PCIe 5 x16: 55 GB/s measured on an H100; host and NVMe assumed";

constexpr std::array kCards = {
    Card{"rtx3090-pcie3", 936 * kGB, 71 * kTera, 13.2 * kGB, 3.2 * kGB, kGen3},
    Card{"rtx3090", 936 * kGB, 71 * kTera, 25 * kGB, 6.5 * kGB, kGen4},
    Card{"rtx4090-pcie3", 1008 * kGB, 165 * kTera, 13.2 * kGB, 3.2 * kGB, kGen3},
    Card{"rtx4090", 1008 * kGB, 165 * kTera, 25 * kGB, 6.5 * kGB, kGen4},
    Card{"rtx5090-pcie4", 1792 * kGB, 210 * kTera, 25 * kGB, 6.5 * kGB, kGen4},
    Card{"rtx5090", 1792 * kGB, 210 * kTera, 55 * kGB, 12 * kGB, kGen5},
    Card{"a6000", 768 * kGB, 155 * kTera, 25 * kGB, 6.5 * kGB, kGen4},
    Card{"h100", 3350 * kGB, 989 * kTera, 55 * kGB, 12 * kGB, kGen5},
};

HardwareProfile profile_of(const Card& card) {
  HardwareProfile profile;
  profile.name = card.name;
  profile.source = card.source;
  profile.host_to_device = pcie(card.link);
  profile.storage_to_host = nvme(card.storage);
  profile.device_bytes_per_second = kOfBandwidth * card.bandwidth;
  profile.device_flops = kOfFlops * card.flops;
  // At batch 1 launches bound a layer: resident decoding of Qwen3-30B at 4 bits on a 5090 takes 70
  // us a layer (kekzl/imp), of which its weights explain some 20.
  profile.layer_seconds = 45 * kMicro;
  profile.host_bytes_per_second = kDesktopHost;
  profile.host_bytes_per_second_beside_link = kBesideLink * kDesktopHost;
  profile.host_seconds = 30 * kMicro;
  return profile;
}

/// Measured: pinned copies, host reads, an expert of one token on the CPU.
HardwareProfile h200() {
  HardwareProfile profile;
  profile.name = "h200";
  profile.source =
      "measured on one H200 with 16 cores of an AMX Xeon, PCIe 5: pinned copies of 1 to 1000 MB, "
      "host "
      "reads; bandwidth at 83% and products at 60% of the data sheet; NVMe assumed";
  profile.host_to_device = {7 * kMicro,
                            {{1e6, 37.4 * kGB},
                             {4.91e6, 48.8 * kGB},
                             {8.65e6, 49.9 * kGB},
                             {17.3e6, 51.5 * kGB},
                             {1e9, 55.1 * kGB}}};
  profile.storage_to_host = nvme(6.5 * kGB);
  profile.device_bytes_per_second = 4.0 * kTera;
  profile.device_flops = kOfFlops * 989 * kTera;
  profile.layer_seconds = 45 * kMicro;
  profile.host_bytes_per_second = 126 * kGB;
  profile.host_bytes_per_second_beside_link = kBesideLink * 126 * kGB;
  profile.host_seconds = 30 * kMicro;
  return profile;
}

}  // namespace

std::span<const HardwareProfile> hardware_profiles() {
  static const std::vector<HardwareProfile> profiles = [] {
    std::vector<HardwareProfile> all;
    for (const Card& card : kCards) all.push_back(profile_of(card));
    all.push_back(h200());
    return all;
  }();
  return profiles;
}

const HardwareProfile& find_hardware(std::string_view name) {
  std::string known;
  for (const HardwareProfile& profile : hardware_profiles()) {
    if (profile.name == name) return profile;
    known += (known.empty() ? "" : ", ") + profile.name;
  }
  throw UsageError(
      fmt::format("there is no hardware profile '{}'; expected one of {}, or a profile's JSON file",
                  name, known));
}

}  // namespace foregate::offload
