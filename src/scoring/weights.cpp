#include "scoring/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"

namespace foregate::scoring {

void Weights::fail_missing(std::string_view name) const {
  throw DataError(
      fmt::format("{}: tensor \"{}\" is missing; train the predictor again", where(), name));
}

int64_t Weights::size(std::string_view name, size_t dimensions, size_t dimension) const {
  const TensorView tensor = get(name);
  if (tensor.shape.size() == dimensions) return tensor.shape[dimension];
  throw DataError(fmt::format("{}: tensor \"{}\" has the shape [{}]; expected {} dimensions",
                              where(), name, fmt::join(tensor.shape, ", "), dimensions));
}

const std::byte* Weights::checked(std::string_view name, std::string_view dtype,
                                  const std::vector<int64_t>& shape) const {
  const TensorView tensor = get(name);
  bool fits = tensor.dtype == dtype && tensor.shape.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    fits = shape[i] == -1 || shape[i] == tensor.shape[i];
  }
  if (fits) return tensor.data;
  throw DataError(fmt::format(
      "{}: tensor \"{}\" is {} [{}]; expected {} [{}] (-1: any); train the predictor again",
      where(), name, tensor.dtype, fmt::join(tensor.shape, ", "), dtype, fmt::join(shape, ", ")));
}

const float* Weights::floats(std::string_view name, const std::vector<int64_t>& shape) const {
  return reinterpret_cast<const float*>(checked(name, "F32", shape));
}

const int64_t* Weights::long_integers(std::string_view name,
                                      const std::vector<int64_t>& shape) const {
  return reinterpret_cast<const int64_t*>(checked(name, "I64", shape));
}

std::span<const int64_t> Weights::id_list(std::string_view name) const {
  const int64_t* ids = long_integers(name, {-1});
  return {ids, static_cast<size_t>(size(name, 1, 0))};
}

const int32_t* Weights::integers(std::string_view name, const std::vector<int64_t>& shape) const {
  return reinterpret_cast<const int32_t*>(checked(name, "I32", shape));
}

const int16_t* Weights::short_integers(std::string_view name,
                                       const std::vector<int64_t>& shape) const {
  return reinterpret_cast<const int16_t*>(checked(name, "I16", shape));
}

}  // namespace foregate::scoring
