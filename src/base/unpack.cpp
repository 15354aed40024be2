#include "base/unpack.h"

#include <arrow/result.h>
#include <arrow/util/compression.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/temporary_file.h"

namespace foregate {
namespace {

using std::literals::operator""sv;

constexpr size_t kPieceBytes = 1 << 20;

struct Format {
  std::string_view magic;
  arrow::Compression::type codec;
  bool skippable_frames;
};

constexpr std::array<Format, 4> kFormats{{
    {"\x1f\x8b"sv, arrow::Compression::GZIP, false},
    {"\x28\xb5\x2f\xfd"sv, arrow::Compression::ZSTD, true},
    {"BZh"sv, arrow::Compression::BZ2, false},
    {"\x04\x22\x4d\x18"sv, arrow::Compression::LZ4_FRAME, true},
}};

struct Archive {
  std::string_view magic;
  const char* name;
  const char* remedy;
};

constexpr std::array<Archive, 5> kArchives{{
    {"PK\x03\x04"sv, "a zip archive", "unzip it"},
    {"\xfd"
     "7zXZ\0"sv,
     "compressed with xz", "unpack it: xz -dk"},
    {"7z\xbc\xaf\x27\x1c"sv, "a 7z archive", "unpack it"},
    {"Rar!\x1a\x07"sv, "a RAR archive", "unpack it"},
    {"\x1f\x9d"sv, "compressed with compress", "unpack it: gzip -dk"},
}};
constexpr size_t kTarMagicOffset = 257;
constexpr std::string_view kTarMagic = "ustar";

[[noreturn]] void fail(const std::string& where, size_t position, const std::string& reason) {
  throw DataError(fmt::format("{}: cannot unpack: {}, at byte {}; copy the file again", where,
                              reason.substr(0, reason.find('\n')), position));
}

template <typename T>
T value_of(arrow::Result<T> result, const std::string& where, size_t position) {
  if (!result.ok()) fail(where, position, result.status().message());
  return std::move(result).ValueUnsafe();
}

bool is_skippable_frame(std::string_view bytes) {
  return bytes.size() >= 4 && (static_cast<unsigned char>(bytes[0]) & 0xf0) == 0x50 &&
         bytes.substr(1, 3) == "\x2a\x4d\x18"sv;
}

/// The position behind the skippable frames at `position`, where LZ4 and Zstandard keep what is not
/// content: a magic number, 4 bytes of little-endian size, as many bytes. Beyond the end if the
/// last of them is cut off.
size_t behind_skippable_frames(std::string_view bytes, size_t position) {
  while (position < bytes.size() && is_skippable_frame(bytes.substr(position))) {
    uint32_t size = 0;
    if (bytes.size() - position < 8) return bytes.size() + 1;
    std::memcpy(&size, bytes.data() + position + 4, sizeof(size));
    position += 8 + size_t{size};
  }
  return position;
}

/// "BZh", a digit, and the mark of a block or of the end: three letters alone may begin a text.
bool is_bzip2(std::string_view bytes) {
  const std::string_view mark = bytes.size() < 10 ? ""sv : bytes.substr(4, 6);
  return bytes.starts_with("BZh") && (mark == "1AY&SY" || mark == "\x17\x72\x45\x38\x50\x90"sv);
}

/// Null if `bytes` do not start with a format's magic number. Skippable frames may come first
/// (pzstd writes one).
const Format* find_format(std::string_view bytes) {
  const size_t start = behind_skippable_frames(bytes, 0);
  if (start > 0 && start >= bytes.size()) return &kFormats[1];
  for (const Format& format : kFormats) {
    if (start > 0 && !format.skippable_frames) continue;
    if (format.codec == arrow::Compression::BZ2 && !is_bzip2(bytes)) continue;
    if (bytes.substr(start).starts_with(format.magic)) return &format;
  }
  return nullptr;
}

/// Unpacks a file member by member.
class Unpacker {
 public:
  Unpacker(std::string_view packed, const Format& format, const std::string& where)
      : packed_(packed), format_(format), where_(where), piece_(kPieceBytes) {
    codec_ = value_of(arrow::util::Codec::Create(format.codec), where_, 0);
    decompressor_ = value_of(codec_->MakeDecompressor(), where_, 0);
  }

  void run(TemporaryFile& output) {
    while (next_member()) {
      const auto status = decompressor_->Reset();
      if (!status.ok()) fail(where_, position_, status.message());
      while (!decompressor_->IsFinished()) step(output);
    }
  }

 private:
  /// Moves to the next member behind what may lie between two; false at the end of the file.
  bool next_member() {
    const size_t behind = position_;
    while (true) {
      const size_t start = position_;
      if (format_.skippable_frames) position_ = behind_skippable_frames(packed_, position_);
      if (position_ > end()) fail(where_, end(), "the file is cut off");
      // Tapes and block devices leave zeros behind a file; gzip and Python pass over them.
      if (behind > 0) position_ = std::min(packed_.find_first_not_of('\0', position_), end());
      if (position_ == start) break;
    }
    if (position_ == end()) return false;
    if (!packed_.substr(position_).starts_with(format_.magic)) {
      fail(where_, position_,
           fmt::format("{} bytes behind the compressed data that are no such data",
                       end() - position_));
    }
    return true;
  }

  void step(TemporaryFile& output) {
    const std::string_view input = packed_.substr(position_, kPieceBytes);
    const auto result =
        value_of(decompressor_->Decompress(static_cast<int64_t>(input.size()),
                                           reinterpret_cast<const uint8_t*>(input.data()),
                                           static_cast<int64_t>(piece_.size()), piece_.data()),
                 where_, position_);
    if (result.bytes_read == 0 && result.bytes_written == 0 && !decompressor_->IsFinished()) {
      fail(where_, position_, input.empty() ? "the file is cut off" : "the file is damaged");
    }
    output.write(
        {reinterpret_cast<const char*>(piece_.data()), static_cast<size_t>(result.bytes_written)});
    position_ += static_cast<size_t>(result.bytes_read);
  }

  size_t end() const { return packed_.size(); }

  std::string_view packed_;
  const Format& format_;
  const std::string& where_;
  std::vector<uint8_t> piece_;
  std::unique_ptr<arrow::util::Codec> codec_;
  std::shared_ptr<arrow::util::Decompressor> decompressor_;
  size_t position_ = 0;
};

}  // namespace

bool is_compressed(std::string_view bytes) {
  return find_format(bytes) != nullptr;
}

std::filesystem::path unpack_to_temporary(std::string_view packed, const std::string& where) {
  const Format* format = find_format(packed);
  if (format == nullptr) throw std::logic_error("unpack_to_temporary: not compressed");
  TemporaryFile output;
  Unpacker(packed, *format, where).run(output);
  return output.keep();
}

void refuse_archive(std::string_view bytes, const std::string& where) {
  const auto refuse = [&](const char* name, const char* remedy) {
    throw DataError(fmt::format("{} is {}, which is not read; {}", where, name, remedy));
  };
  for (const Archive& archive : kArchives) {
    if (bytes.starts_with(archive.magic)) refuse(archive.name, archive.remedy);
  }
  if (bytes.size() > kTarMagicOffset && bytes.substr(kTarMagicOffset).starts_with(kTarMagic)) {
    refuse("a tar archive", "unpack it and give the folder");
  }
}

}  // namespace foregate
