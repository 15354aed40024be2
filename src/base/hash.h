#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace foregate {

/// A hash over data that arrives in pieces.
class Digest {
 public:
  virtual ~Digest();
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// Lower-case hexadecimal digits. Ends the computation.
  std::string hex_digest();

 protected:
  enum class Algorithm { kSha1, kSha256 };
  /// Throws EnvironmentError if libcrypto does not offer the algorithm.
  explicit Digest(Algorithm algorithm);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// SHA-256: 64 digits.
class Sha256 : public Digest {
 public:
  Sha256() : Digest(Algorithm::kSha256) {}
};

/// The name git gives to a file of `size` bytes: SHA-1 over "blob <size>\0" and its content, 40
/// digits (gitformat-loose(5); not for security).
class GitBlobHash : public Digest {
 public:
  explicit GitBlobHash(uint64_t size);
};

std::string sha256_of_text(std::string_view text);
/// Throws EnvironmentError if the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& path);

/// 64-bit FNV-1a followed by a SplitMix64 finaliser: stable between machines and versions, for
/// splits and duplicate detection, not for security.
uint64_t stable_hash(std::string_view bytes, uint64_t seed = 0);

}  // namespace foregate
