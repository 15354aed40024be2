#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace foregate {

/// SHA-256 over data that arrives in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// 64 lower-case hexadecimal digits. Ends the computation.
  std::string hex_digest();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string sha256_of_text(std::string_view text);
/// Throws EnvironmentError if the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& path);

/// 64-bit FNV-1a followed by a SplitMix64 finaliser: stable between machines and versions, for
/// splits and duplicate detection, not for security.
uint64_t stable_hash(std::string_view bytes, uint64_t seed = 0);

}  // namespace foregate
