#include "base/host_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace foregate {
namespace {

constexpr int64_t kKilobyte = 1024;

std::optional<int64_t> mem_available(const std::filesystem::path& meminfo) {
  std::ifstream file(meminfo);
  std::string name;
  int64_t kibibytes = 0;
  std::string unit;
  while (file >> name >> kibibytes) {
    if (name == "MemAvailable:") return kibibytes * kKilobyte;
    std::getline(file, unit);
  }
  return std::nullopt;
}

// The value of `key` in a file of "key value" lines, or the whole file if there is no key.
std::optional<int64_t> number_in(const std::filesystem::path& path, const std::string& key = "") {
  std::ifstream file(path);
  std::string name;
  int64_t value = 0;
  if (key.empty()) return file >> value ? std::optional(value) : std::nullopt;
  while (file >> name >> value) {
    if (name == key) return value;
  }
  return std::nullopt;
}

}  // namespace

int64_t available_host_memory(const std::filesystem::path& meminfo,
                              const std::filesystem::path& control_group) {
  std::optional<int64_t> available = mem_available(meminfo);
  const auto limit = number_in(control_group / "memory.max");  // "max": nothing to parse
  const auto used = number_in(control_group / "memory.current");
  if (limit && used) {
    // Pages of files count as used, but give way.
    const int64_t cache = number_in(control_group / "memory.stat", "inactive_file").value_or(0);
    const int64_t left = std::max<int64_t>(0, *limit - *used + cache);
    available = std::min(available.value_or(left), left);
  }
  return available.value_or(0);
}

int64_t available_host_memory() {
  return available_host_memory("/proc/meminfo", "/sys/fs/cgroup");
}

}  // namespace foregate
