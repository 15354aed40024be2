#include "report/charts/color_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace foregate::report {
namespace {

struct Color {
  std::string_view name, light, dark;
};

constexpr Color kPalette[] = {
    {"page", "#f6f7f9", "#0f1419"}, {"card", "#ffffff", "#171d25"},
    {"ink", "#1c2430", "#e4e9f0"},  {"muted", "#5a6676", "#9aa7b7"},
    {"line", "#dce1e8", "#2b3440"}, {"accent", "#1d5fc4", "#6fb1ff"},
    {"bad", "#b42318", "#ff8f85"},  {"hole", "#e3e3e3", "#30363d"},
    {"s0", "#f3f7fb", "#151c26"},   {"s1", "#dfebf7", "#172a3d"},
    {"s2", "#c9def0", "#183954"},   {"s3", "#acd0e6", "#1a496c"},
    {"s4", "#87bddc", "#1f5b86"},   {"s5", "#60a6d1", "#296fa0"},
    {"s6", "#3d8cc4", "#3b86b9"},   {"s7", "#2370b0", "#5a9fcd"},
    {"s8", "#0e549a", "#86bbdf"},   {"s9", "#08306b", "#c3dff2"},
    {"d0", "#2166ac", "#7fb8ea"},   {"d1", "#4f93c3", "#4f8fc6"},
    {"d2", "#92c5de", "#33648f"},   {"d3", "#d1e5f0", "#22405b"},
    {"d4", "#f4f4f4", "#232a33"},   {"d5", "#fde0c4", "#4d3320"},
    {"d6", "#f9b27c", "#7f4a1d"},   {"d7", "#e67e33", "#bb6a22"},
    {"d8", "#a84708", "#f0a050"},   {"l0", "#2563eb", "#60a5fa"},
    {"l1", "#c2410c", "#fb923c"},   {"l2", "#15803d", "#4ade80"},
    {"l3", "#7e22ce", "#c084fc"},   {"l4", "#0e7490", "#22d3ee"},
    {"l5", "#be185d", "#f472b6"},   {"l6", "#854d0e", "#facc15"},
    {"l7", "#475569", "#94a3b8"},   {"c0", "#4e79a7", "#5b8fc9"},
    {"c1", "#f28e2b", "#e08a36"},   {"c2", "#59a14f", "#5fae55"},
    {"c3", "#e15759", "#dc6465"},   {"c4", "#76b7b2", "#6cb5b0"},
    {"c5", "#edc948", "#d9b93f"},   {"c6", "#b07aa1", "#b982aa"},
    {"c7", "#ff9da7", "#e8939c"},   {"c8", "#9c755f", "#a67f69"},
    {"c9", "#8c8c8c", "#949494"},   {"ca", "#2f4b7c", "#3f66a8"},
    {"cb", "#a5c95f", "#9dbf5d"},
};

std::string variables(bool dark) {
  std::string css;
  for (const Color& color : kPalette)
    css += fmt::format("--{}:{};", color.name, dark ? color.dark : color.light);
  return css;
}

}  // namespace

int ColorScale::class_of(double value) const {
  if (std::isnan(value)) return -1;
  return static_cast<int>(std::upper_bound(edges.begin(), edges.end(), value) - edges.begin());
}

ColorScale sequential_scale(double largest) {
  if (!(largest > 0)) largest = 1;
  ColorScale scale{"s", {}};
  for (int i = 1; i < 10; ++i) scale.edges.push_back(largest * i * i / 100);
  return scale;
}

ColorScale even_scale(double lowest, double largest) {
  if (!(largest > lowest)) largest = lowest + 1;
  ColorScale scale{"s", {}};
  for (int i = 1; i < 10; ++i) scale.edges.push_back(lowest + (largest - lowest) * i / 10);
  return scale;
}

ColorScale ratio_scale() {
  return {"d", {0.25, 0.5, 0.67, 0.87, 1.15, 1.5, 2, 4}};
}

std::string palette_css() {
  return fmt::format(
      ":root{{color-scheme:light;{0}}}\n"
      "@media (prefers-color-scheme:dark){{:root:not([data-theme=light])"
      "{{color-scheme:dark;{1}}}}}\n"
      ":root[data-theme=dark]{{color-scheme:dark;{1}}}\n"
      "@media print{{:root,:root[data-theme]{{color-scheme:light;{0}}}}}\n",
      variables(false), variables(true));
}

std::string with_light_colors(std::string css) {
  for (const Color& color : kPalette) {
    const std::string use = fmt::format("var(--{})", color.name);
    for (size_t at = css.find(use); at != std::string::npos; at = css.find(use, at))
      css.replace(at, use.size(), color.light);
  }
  return css;
}

std::string scale_css() {
  std::string css;
  for (const Color& color : kPalette) {
    const bool scale = color.name.size() == 2 &&
                       (color.name[0] == 's' || color.name[0] == 'd' || color.name[0] == 'c');
    if (!scale) continue;
    css += fmt::format("rect.{0}{{fill:var(--{0})}}path.{0}{{stroke:var(--{0})}}\n", color.name);
  }
  return css;
}

}  // namespace foregate::report
