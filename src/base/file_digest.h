#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace foregate {

/// What a file held, to tell later whether it still does. For large files the digest is of parts of
/// them; whoever makes it says which.
struct FileDigest {
  std::string file;  ///< its name within its folder
  int64_t bytes = 0;
  std::string sha256;

  bool operator==(const FileDigest&) const = default;
};

/// 64 lower-case hexadecimal digits.
bool is_sha256(const std::string& text);

/// A list of objects with file, bytes and sha256.
Json to_json(const std::vector<FileDigest>& files);
/// Of the list at `key`. Throws DataError naming document and key.
std::vector<FileDigest> file_digests(const JsonReader& reader, const char* key);

/// One digest for all of them; empty for none.
std::string digest_of(const std::vector<FileDigest>& files);

/// The first file that is not the same in both, and how it changed: "model.safetensors has other
/// content"; empty if all are the same.
std::string changed_file(const std::vector<FileDigest>& before, const std::vector<FileDigest>& now);

/// What to say of an unfinished run whose files hold no digests: "PATH was begun by an older
/// foregate, ...: cannot be checked".
std::string unchecked_input(const std::string& path);

}  // namespace foregate
