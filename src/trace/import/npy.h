#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace foregate::trace {

/// What the header of an npy file says (versions 1.0 to 3.0, numpy/lib/format.py).
struct NpyHeader {
  std::string descr;  ///< NumPy's name of the dtype: "<i2", "|u1", "<f2"
  bool fortran_order = false;
  std::vector<int64_t> shape;  ///< each at least 0
  size_t data_offset = 0;      ///< of the first value in the file
};

/// Reads a header out of a file's bytes. Throws DataError that begins with `where`; whatever the
/// bytes are, reads nothing outside of them.
NpyHeader parse_npy_header(std::string_view bytes, const std::string& where);

/// An npy array of numbers in C order, mapped or held. Values are converted as they are read.
class NpyArray {
 public:
  /// Throws EnvironmentError (missing), DataError: not npy, truncated, Fortran order, objects or
  /// any dtype but little-endian integers and floats of at most 8 bytes.
  explicit NpyArray(const std::filesystem::path& path);
  /// The same out of a file's bytes; `name` stands for the path in messages.
  NpyArray(std::string bytes, std::string name);
  NpyArray(const NpyArray&) = delete;
  NpyArray& operator=(const NpyArray&) = delete;

  const std::string& name() const { return name_; }  ///< the path, for messages
  const std::string& descr() const { return descr_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t size() const { return size_; }  ///< values in all
  bool is_real() const { return kind_ == 'f'; }

  /// Value `index` in C order. integer() is for integer arrays and saturates at the largest
  /// int64_t; real() is for float arrays.
  int64_t integer(int64_t index) const;
  float real(int64_t index) const;

  /// Throws DataError unless the array is of integers (or of floats) with this many dimensions.
  void require(bool real, size_t dimensions, const char* expected) const;

 private:
  void read_header();
  template <typename T>
  T value(int64_t index) const;

  std::unique_ptr<MappedFile> file_;  ///< or the bytes are held
  std::string held_;
  std::string_view bytes_;
  std::string name_;
  std::string descr_;
  std::vector<int64_t> shape_;
  size_t data_offset_ = 0;
  int64_t size_ = 0;
  char kind_ = 0;  ///< i, u or f
  int width_ = 0;  ///< bytes of a value
};

}  // namespace foregate::trace
