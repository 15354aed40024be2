#pragma once

#include <torch/types.h>

#include <cstdint>

#include "nn/attention/paged_attention.h"

namespace foregate::nn {

/// Throws c10::Error unless the pages hold `heads` rows of `size` a token, in `dtype` or in int8.
void check_pages(const PagedRows& paged, int64_t heads, int64_t size, torch::ScalarType dtype);

/// Writes the step's rows into their slots. Of int8 pages, those of each token and head as
/// tensor::encode_int8() has them; a row with a number that is not finite is none when it is read.
void store_rows(const PagedRows& paged,     // [pages, P, n, D]
                const torch::Tensor& rows,  // [T, n * D]
                const PagedStep& step);

/// All rows of a sequence, in order. -> [length, n, D] of this dtype
torch::Tensor gather_rows(const PagedRows& paged, const PagedStep& step, int64_t sequence,
                          torch::ScalarType dtype);

/// The rows that the step stored, as they are read from now on. -> [T, n * D] of this dtype
torch::Tensor stored_rows(const PagedRows& paged, const PagedStep& step, torch::ScalarType dtype);

}  // namespace foregate::nn
