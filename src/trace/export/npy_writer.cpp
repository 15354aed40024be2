#include "trace/export/npy_writer.h"

#include <fmt/format.h>

namespace foregate::trace {
namespace {

constexpr size_t kAlignment = 64;  // Of the data in the file, as numpy/lib/format.py demands.
constexpr size_t kBufferBytes = 1 << 20;

std::string header(const std::string& descr, const std::vector<int64_t>& shape) {
  std::string dimensions;
  for (const int64_t dimension : shape) dimensions += fmt::format("{}, ", dimension);
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                 descr, dimensions.substr(0, dimensions.size() - 1));
  const std::string magic("\x93NUMPY\x01\x00", 8);
  const size_t length = magic.size() + 2 + text.size() + 1;
  text.append((kAlignment - length % kAlignment) % kAlignment, ' ');
  text += '\n';
  const auto size = static_cast<uint16_t>(text.size());
  return magic + static_cast<char>(size & 0xff) + static_cast<char>(size >> 8) + text;
}

}  // namespace

NpyWriter::NpyWriter(const fs::path& path, const std::string& descr,
                     const std::vector<int64_t>& shape)
    : file_(path), buffer_(header(descr, shape)) {}

void NpyWriter::append(std::span<const std::byte> bytes) {
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (buffer_.size() < kBufferBytes) return;
  file_.append(buffer_);
  buffer_.clear();
}

void NpyWriter::finish() {
  file_.append(buffer_);
  file_.commit();
}

}  // namespace foregate::trace
