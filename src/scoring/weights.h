#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace foregate::scoring {

/// A tensor where it lies: row-major, little-endian, aligned for its elements.
struct TensorView {
  std::string_view dtype;  ///< as safetensors names it: "F32"
  std::span<const int64_t> shape;
  const std::byte* data = nullptr;
};

/// A predictor's tensors by name: those of a mapped file, or those that a fit has just made.
class Weights {
 public:
  Weights() = default;
  virtual ~Weights() = default;
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  /// Valid as long as the weights. Throws DataError if there is no tensor of that name.
  virtual TensorView get(std::string_view name) const = 0;
  /// Where the tensors come from, for errors.
  virtual std::string where() const = 0;

  /// A tensor's values, as long as the weights. Dimensions of -1 fit any size. Throws DataError if
  /// it is missing, of another dtype or of another shape.
  const float* floats(std::string_view name, const std::vector<int64_t>& shape) const;
  const int64_t* long_integers(std::string_view name, const std::vector<int64_t>& shape) const;
  const int32_t* integers(std::string_view name, const std::vector<int64_t>& shape) const;
  const int16_t* short_integers(std::string_view name, const std::vector<int64_t>& shape) const;
  /// The same of one dimension, for lists to look ids up in.
  std::span<const int64_t> id_list(std::string_view name) const;

  /// Size of one dimension of a tensor that has `dimensions` of them. Throws DataError if there is
  /// no such tensor.
  int64_t size(std::string_view name, size_t dimensions, size_t dimension) const;

 protected:
  [[noreturn]] void fail_missing(std::string_view name) const;

 private:
  const std::byte* checked(std::string_view name, std::string_view dtype,
                           const std::vector<int64_t>& shape) const;
};

}  // namespace foregate::scoring
