// Products against sums in double, for sizes around the vector registers'.
#include "scoring/products.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"

namespace foregate::scoring {
namespace {

std::vector<float> random_values(int64_t size, Random& random) {
  std::vector<float> values(static_cast<size_t>(size));
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

class Products : public ::testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(Products, AreThoseOfPlainSums) {
  const auto [rows, columns] = GetParam();
  Random random(1);
  const std::vector<float> matrix = random_values(rows * columns, random);
  const std::vector<float> across = random_values(columns, random);
  const std::vector<float> along = random_values(rows, random);
  const auto cell = [&, width = columns](int64_t r, int64_t c) {
    return static_cast<double>(matrix[static_cast<size_t>(r * width + c)]);
  };
  std::vector<float> by_row(static_cast<size_t>(rows), 1);
  std::vector<float> by_column(static_cast<size_t>(columns), 1);
  std::vector<float> weighted(static_cast<size_t>(columns), 7);
  const float* vector = across.data();
  float* out = by_row.data();
  add_product(matrix.data(), rows, columns, {&vector, 1}, {&out, 1});
  vector = along.data();
  out = by_column.data();
  add_transposed_product(matrix.data(), rows, columns, {&vector, 1}, {&out, 1});
  weighted_sum(matrix.data(), rows, columns, along.data(), weighted.data());
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 1;
    for (int64_t c = 0; c < columns; ++c) sum += cell(r, c) * across[static_cast<size_t>(c)];
    EXPECT_NEAR(by_row[static_cast<size_t>(r)], sum, 1e-4);
  }
  for (int64_t c = 0; c < columns; ++c) {
    double sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += cell(r, c) * along[static_cast<size_t>(r)];
    EXPECT_NEAR(by_column[static_cast<size_t>(c)], 1 + sum, 1e-4);
    EXPECT_NEAR(weighted[static_cast<size_t>(c)], sum, 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Products,
                         ::testing::Values(std::pair(0, 5), std::pair(5, 0), std::pair(1, 1),
                                           std::pair(3, 15), std::pair(4, 16), std::pair(5, 17),
                                           std::pair(27, 60), std::pair(33, 33),
                                           std::pair(200, 300)));

TEST(SafeLog, IsTheLog) {
  std::vector<float> values = {0, 1e-9F, 1e-6F, 2e-6F, 0.5F, 0.70710677F, 0.70710683F, 1, 1.5F, 7};
  Random random(4);
  while (values.size() < 1003) values.push_back(static_cast<float>(random.uniform()));
  std::vector<float> logs(values.size(), 3);
  safe_log(values.data(), std::ssize(values), logs.data());
  for (size_t i = 0; i < values.size(); ++i) {
    const double expected = std::log(std::max(static_cast<double>(values[i]), 1e-6));
    EXPECT_NEAR(logs[i], expected, 2.5e-7 * std::max(std::abs(expected), 1e-2)) << values[i];
    float alone = 0;
    safe_log(&values[i], 1, &alone);
    EXPECT_EQ(alone, logs[i]);
  }
}

TEST(WeightedSum, ScoresEqualExpertsAlike) {
  // Whatever its place in a row, an expert gets the same bits from the same numbers.
  constexpr int64_t kColumns = 33;
  Random random(2);
  const std::vector<float> column = random_values(7, random);
  const std::vector<float> weights = random_values(7, random);
  std::vector<float> matrix;
  for (const float value : column) matrix.insert(matrix.end(), kColumns, value);
  std::vector<float> out(kColumns);
  weighted_sum(matrix.data(), 7, kColumns, weights.data(), out.data());
  for (const float value : out) EXPECT_EQ(value, out[0]);
}

}  // namespace
}  // namespace foregate::scoring
