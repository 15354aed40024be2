#include "models/gguf/gguf_view.h"

#include <fmt/core.h>

#include "base/error.h"

namespace foregate::models {
namespace {

/// Rows [first, first + count), whole heads of them, as they lie in the file.
struct Heads {
  int64_t first;
  int64_t count;
};

Heads heads_around(int64_t first, int64_t count, int64_t head_dim) {
  const int64_t begin = first / head_dim * head_dim;
  const int64_t end = (first + count + head_dim - 1) / head_dim * head_dim;
  return {begin, end - begin};
}

/// 0, D/2, 1, D/2 + 1, ... -> 0, 1, 2, ... within each head along the first dimension.
torch::Tensor in_order(const torch::Tensor& paired, int64_t head_dim) {
  const int64_t heads = paired.size(0) / head_dim;
  return paired.reshape({heads, head_dim / 2, 2, -1}).transpose(1, 2).reshape(paired.sizes());
}

}  // namespace

void GgufView::add(tensor::TensorEntry entry, GgufPlace place) {
  if (!add_entry(std::move(entry))) {
    throw DataError(fmt::format("{}: tensor \"{}\" is another one's part; the file is broken",
                                path().string(), place.source));
  }
  places_.push_back(std::move(place));
}

torch::Tensor GgufView::tensor(std::string_view name) const {
  return rows(name, 0, entries()[number_of(name)].shape[0]);
}

torch::Tensor GgufView::rows(std::string_view name, int64_t first, int64_t count) const {
  const size_t number = number_of(name);
  const std::vector<int64_t>& shape = entries()[number].shape;
  const GgufPlace& place = places_[number];
  TORCH_CHECK(first >= 0 && count >= 0 && first <= shape[0] - count, path(), ": rows ", first,
              " + ", count, " of tensor \"", name, "\" ", shape);
  const bool paired = place.paired_head_dim > 0;
  if (shape.size() == 1) {
    torch::Tensor vector = file_->vectors(place.source, place.first_vector, 1)[0];
    if (paired) vector = in_order(vector, place.paired_head_dim);
    return vector.narrow(0, first, count);
  }
  if (!paired) return file_->vectors(place.source, place.first_vector + first, count);
  const Heads heads = heads_around(first, count, place.paired_head_dim);
  const torch::Tensor rows =
      file_->vectors(place.source, place.first_vector + heads.first, heads.count);
  return in_order(rows, place.paired_head_dim).narrow(0, first - heads.first, count);
}

void GgufView::release_rows(std::string_view name, int64_t first, int64_t count) const {
  const std::optional<size_t> number = find_number(name);
  if (!number || entries()[*number].shape.size() == 1) return;
  const GgufPlace& place = places_[*number];
  file_->release_vectors(place.source, place.first_vector + first, count);
}

void GgufView::release_pages(std::string_view name) const {
  if (const tensor::TensorEntry* entry = find(name)) release_rows(name, 0, entry->shape[0]);
}

}  // namespace foregate::models
