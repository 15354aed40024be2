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
  if (!index_.emplace(entry.name, entries_.size()).second) {
    throw DataError(fmt::format("{}: tensor \"{}\" is another one's part; the file is broken",
                                path().string(), place.source));
  }
  entries_.push_back(std::move(entry));
  places_.push_back(std::move(place));
}

const tensor::TensorEntry* GgufView::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

torch::Tensor GgufView::tensor(std::string_view name) const {
  const tensor::TensorEntry* entry = find(name);
  if (entry == nullptr) {
    throw DataError(fmt::format("{}: there is no tensor \"{}\"", path().string(), name));
  }
  return rows(name, 0, entry->shape[0]);
}

torch::Tensor GgufView::rows(std::string_view name, int64_t first, int64_t count) const {
  const auto found = index_.find(name);
  TORCH_CHECK(found != index_.end(), path(), ": no tensor ", name);
  const std::vector<int64_t>& shape = entries_[found->second].shape;
  const GgufPlace& place = places_[found->second];
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
  const auto found = index_.find(name);
  if (found == index_.end() || entries_[found->second].shape.size() == 1) return;
  const GgufPlace& place = places_[found->second];
  file_->release_vectors(place.source, place.first_vector + first, count);
}

void GgufView::release_pages(std::string_view name) const {
  if (const tensor::TensorEntry* entry = find(name)) release_rows(name, 0, entry->shape[0]);
}

}  // namespace foregate::models
