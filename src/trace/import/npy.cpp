#include "trace/import/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/half.h"
#include "base/unpack.h"

namespace foregate::trace {
namespace {

/// Kind ('i', 'u', 'f') and width of a dtype; throws if values of it cannot be read.
std::pair<char, int> parse_descr(const std::string& descr, const std::string& where) {
  if (descr.find('O') != std::string::npos) {
    throw DataError(fmt::format(
        "{}: an array of Python objects ('{}'), which only unpickling could read; save it as an "
        "array of numbers",
        where, descr));
  }
  const bool known = descr.size() == 3 && (descr[0] == '<' || descr[0] == '|');
  if (known) {
    const char kind = descr[1];
    const int width = descr[2] - '0';
    const bool integer =
        (kind == 'i' || kind == 'u') && (width == 1 || width == 2 || width == 4 || width == 8);
    if (integer || (kind == 'f' && (width == 2 || width == 4 || width == 8))) return {kind, width};
  }
  throw DataError(fmt::format(
      "{}: dtype '{}'; expected little-endian integers or floats of 1 to 8 bytes", where, descr));
}

/// The product of the shape, checked against the bytes that are there, so that no later
/// computation can overflow.
int64_t count_values(const NpyHeader& header, int width, size_t file_size,
                     const std::string& where) {
  const auto limit = static_cast<int64_t>(file_size - header.data_offset);
  int64_t bytes = width;
  for (const int64_t dimension : header.shape) {
    // A zero anywhere makes the array empty, whatever the others are.
    if (dimension == 0) bytes = 0;
  }
  for (const int64_t dimension : header.shape) {
    if (bytes == 0) break;
    if (dimension > std::numeric_limits<int64_t>::max() / bytes) {
      throw DataError(fmt::format("{}: shape ({}) is larger than any file", where,
                                  fmt::join(header.shape, ", ")));
    }
    bytes *= dimension;
  }
  if (bytes != limit) {
    throw DataError(fmt::format("{}: shape ({}) of '{}' needs {} bytes, the file has {}{}", where,
                                fmt::join(header.shape, ", "), header.descr, bytes, limit,
                                limit < bytes ? ": it is truncated" : ""));
  }
  return bytes / width;
}

}  // namespace

NpyArray::NpyArray(const fs::path& path)
    : file_(std::make_unique<MappedFile>(path)), bytes_(file_->text()), name_(path.string()) {
  if (is_compressed(bytes_)) {
    const fs::path unpacked = unpack_to_temporary(bytes_, name_);
    held_ = read_file(unpacked);
    fs::remove(unpacked);
    bytes_ = held_;
  }
  refuse_archive(bytes_, name_);
  read_header();
}

NpyArray::NpyArray(std::string bytes, std::string name)
    : held_(std::move(bytes)), bytes_(held_), name_(std::move(name)) {
  read_header();
}

void NpyArray::read_header() {
  NpyHeader header = parse_npy_header(bytes_, name_);
  std::tie(kind_, width_) = parse_descr(header.descr, name_);
  if (header.fortran_order && header.shape.size() > 1) {
    throw DataError(fmt::format(
        "{}: the array is in Fortran order; save numpy.ascontiguousarray of it", name_));
  }
  size_ = count_values(header, width_, bytes_.size(), name_);
  descr_ = std::move(header.descr);
  shape_ = std::move(header.shape);
  data_offset_ = header.data_offset;
}

template <typename T>
T NpyArray::value(int64_t index) const {
  T result;  // Copied: nothing aligns the data in the file.
  std::memcpy(&result, bytes_.data() + data_offset_ + static_cast<size_t>(index) * sizeof(T),
              sizeof(T));
  return result;
}

int64_t NpyArray::integer(int64_t index) const {
  const bool is_signed = kind_ == 'i';
  switch (width_) {
    case 1:
      return is_signed ? value<int8_t>(index) : value<uint8_t>(index);
    case 2:
      return is_signed ? value<int16_t>(index) : value<uint16_t>(index);
    case 4:
      return is_signed ? int64_t{value<int32_t>(index)} : int64_t{value<uint32_t>(index)};
    default: {
      const auto bits = value<int64_t>(index);
      return is_signed || bits >= 0 ? bits : std::numeric_limits<int64_t>::max();
    }
  }
}

float NpyArray::real(int64_t index) const {
  switch (width_) {
    case 2:
      return half_to_float(value<uint16_t>(index));
    case 4:
      return value<float>(index);
    default:
      return static_cast<float>(value<double>(index));
  }
}

void NpyArray::require(bool real, size_t dimensions, const char* expected) const {
  if (is_real() == real && shape_.size() == dimensions) return;
  throw DataError(fmt::format("{}: an array of '{}' with shape ({}); expected {}", name_, descr_,
                              fmt::join(shape_, ", "), expected));
}

}  // namespace foregate::trace
