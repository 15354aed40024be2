#pragma once

#include <filesystem>
#include <string_view>

namespace foregate::text {

/// Whether a file that starts with `bytes` is compressed with gzip or Zstandard.
bool is_compressed(std::string_view bytes);

/// Unpacks a gzip or Zstandard file, of one or several members, into a new file in the folder for
/// temporary files (TMPDIR), which the caller removes. Memory stays small whatever the size. Throws
/// DataError if the file is damaged or cut off, EnvironmentError if there is no room.
std::filesystem::path decompress_to_temporary(const std::filesystem::path& path);

}  // namespace foregate::text
