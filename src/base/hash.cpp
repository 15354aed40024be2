#include "base/hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <fstream>

#include "base/error.h"
#include "base/files.h"

namespace foregate {

struct Digest::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

Digest::Digest(Algorithm algorithm) : impl_(std::make_unique<Impl>()) {
  const bool is_sha1 = algorithm == Algorithm::kSha1;
  if (EVP_DigestInit_ex(impl_->context, is_sha1 ? EVP_sha1() : EVP_sha256(), nullptr) != 1) {
    throw EnvironmentError(fmt::format("libcrypto does not offer {} (a FIPS-restricted build?)",
                                       is_sha1 ? "SHA-1" : "SHA-256"));
  }
}

Digest::~Digest() = default;

void Digest::update(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size());
}

void Digest::update(std::string_view text) {
  update(std::as_bytes(std::span(text)));
}

std::string Digest::hex_digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  EVP_DigestFinal_ex(impl_->context, digest.data(), &length);
  std::string hex;
  for (const unsigned char byte : std::span(digest).first(length)) {
    hex += fmt::format("{:02x}", byte);
  }
  return hex;
}

GitBlobHash::GitBlobHash(uint64_t size) : Digest(Algorithm::kSha1) {
  update(fmt::format("blob {}", size));
  update(std::string_view("\0", 1));
}

std::string sha256_of_text(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.hex_digest();
}

std::string sha256_of_file(const std::filesystem::path& path) {
  // Not mapped: a pointer in a file's place (base/stand_in.h) has a digest like any other content.
  constexpr size_t kPieceBytes = 1 << 20;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw_io_error("cannot read", path, errno);
  Sha256 hash;
  for (std::string piece(kPieceBytes, '\0'); stream;) {
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    hash.update(std::string_view(piece).substr(0, static_cast<size_t>(stream.gcount())));
  }
  if (stream.bad()) throw_io_error("cannot read", path, errno);
  return hash.hex_digest();
}

uint64_t stable_hash(std::string_view bytes, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325ULL ^ (seed * 0x9e3779b97f4a7c15ULL);
  for (const char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL;
  }
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
  return hash ^ (hash >> 31);
}

}  // namespace foregate
