#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace foregate {

/// Whether a file that starts with `bytes` is compressed with gzip, Zstandard, bzip2 or LZ4 (its
/// frame format).
bool is_compressed(std::string_view bytes);

/// Unpacks `packed`, the whole content of the compressed file `where`, into a new file in the
/// folder for temporary files (TMPDIR), which the caller removes. As the reference tools do, all
/// members or frames are unpacked one behind the other, zeros behind them and skippable frames are
/// passed over. Memory stays small whatever the size. Throws DataError if the file is damaged, cut
/// off or followed by something else, EnvironmentError if there is no room.
std::filesystem::path unpack_to_temporary(std::string_view packed, const std::string& where);

/// Throws DataError, with what to do, for a file that starts with `bytes` of an archive or a
/// compression that is not read: zip, tar, xz, 7z, RAR.
void refuse_archive(std::string_view bytes, const std::string& where);

}  // namespace foregate
