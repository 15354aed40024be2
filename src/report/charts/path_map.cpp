#include "report/charts/path_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "report/charts/embedded.h"
#include "report/charts/number_format.h"

namespace foregate::report {
namespace {

constexpr double kCellWidth = 18;
constexpr double kCellHeight = 15;
constexpr double kPathsTop = 84;
constexpr double kSmallMark = 4;
constexpr double kLargeMark = 9;
constexpr size_t kTokenLength = 12;

double left_of(const PathMap& map) {
  double names = 24;
  for (const std::string& layer : map.layers) names = std::max(names, text_width(layer));
  return names + 36;
}

size_t cell_of(const PathMap& map, size_t layer, size_t token) {
  return (token * map.layers.size() + layer) * static_cast<size_t>(map.top_k);
}

/// Experts in the order of the cells: row by row.
std::string encode(const PathMap& map) {
  std::string code;
  for (size_t layer = 0; layer < map.layers.size(); ++layer) {
    for (size_t token = 0; token < map.tokens.size(); ++token) {
      for (int rank = 0; rank < map.top_k; ++rank) {
        const uint16_t expert = map.experts[cell_of(map, layer, token) + static_cast<size_t>(rank)];
        code += kDigits[expert / 64 % 64];
        code += kDigits[expert % 64];
      }
    }
  }
  return code;
}

/// The runs of some layers, which may be drawn pale.
std::string runs(const PathMap& map, size_t first_layer, size_t end_layer,
                 const std::string& group) {
  std::array<std::string, PathMap::kColors> paths;
  const auto color_of = [&](size_t layer, size_t token) {
    return static_cast<size_t>(map.experts[cell_of(map, layer, token)] % PathMap::kColors);
  };
  for (size_t layer = first_layer; layer < end_layer; ++layer) {
    for (size_t begin = 0, end = 0; begin < map.tokens.size(); begin = end) {
      const size_t color = color_of(layer, begin);
      while (end < map.tokens.size() && color_of(layer, end) == color) ++end;
      paths[color] += fmt::format("M{} {}h{}", begin, layer, end - begin);
    }
  }
  std::string svg = group;
  for (size_t color = 0; color < paths.size(); ++color) {
    if (!paths[color].empty())
      svg += fmt::format("<path class=\"c{:x}\" d=\"{}\"/>\n", color, paths[color]);
  }
  return svg + "</g>\n";
}

std::string cells(const PathMap& map, double left) {
  const auto group = [&](const char* css_class) {
    return fmt::format(
        "<g class=\"{}\" shape-rendering=\"crispEdges\" transform=\"translate({:.6g} {:.6g}) "
        "scale({} {})\">\n",
        css_class, left, kPathsTop + kCellHeight / 2, kCellWidth, kCellHeight);
  };
  const auto first = map.found.empty() ? 0 : static_cast<size_t>(map.first_layer);
  std::string svg;
  if (first > 0) svg = runs(map, 0, first, group("runs pale"));
  return svg + runs(map, first, map.layers.size(), group("runs"));
}

/// How many of a decision's experts were found; -1 if it cannot be predicted.
int found_in(const PathMap& map, size_t layer, size_t token) {
  if (map.found.empty() || layer < static_cast<size_t>(map.first_layer)) return -1;
  const auto begin = map.found.begin() + static_cast<std::ptrdiff_t>(cell_of(map, layer, token));
  return static_cast<int>(std::count(begin, begin + map.top_k, 1));
}

/// Squares in the middle of cells, as short strokes: small where some were missed, large where all.
std::string marks(const PathMap& map, double left) {
  std::string some;
  std::string all;
  for (size_t layer = 0; layer < map.layers.size(); ++layer) {
    for (size_t token = 0; token < map.tokens.size(); ++token) {
      const int found = found_in(map, layer, token);
      if (found < 0 || found == map.top_k) continue;
      const double size = found == 0 ? kLargeMark : kSmallMark;
      (found == 0 ? all : some) += fmt::format(
          "M{:.6g} {:.6g}h{}", left + kCellWidth * (static_cast<double>(token) + 0.5) - size / 2,
          kPathsTop + kCellHeight * (static_cast<double>(layer) + 0.5), size);
    }
  }
  std::string svg;
  for (const auto& [path, size] : {std::pair(&some, kSmallMark), std::pair(&all, kLargeMark)}) {
    if (!path->empty())
      svg += fmt::format("<path class=\"mark\" stroke-width=\"{}\" d=\"{}\"/>\n", size, *path);
  }
  return svg;
}

/// Whether each expert was found, in the order of encode(): 1, 0, or - if it cannot be predicted.
std::string encode_found(const PathMap& map) {
  std::string code;
  for (size_t layer = 0; layer < map.layers.size(); ++layer) {
    for (size_t token = 0; token < map.tokens.size(); ++token) {
      for (int rank = 0; rank < map.top_k; ++rank) {
        if (found_in(map, layer, token) < 0) {
          code += '-';
        } else {
          code += map.found[cell_of(map, layer, token) + static_cast<size_t>(rank)] ? '1' : '0';
        }
      }
    }
  }
  return code;
}

std::string labels(const PathMap& map, double left) {
  std::string svg;
  for (size_t token = 0; token < map.tokens.size(); ++token) {
    svg += fmt::format("<g transform=\"translate({:.5g} {:.5g}) rotate(-60)\">{}</g>",
                       left + kCellWidth * (static_cast<double>(token) + 0.65), kPathsTop - 6,
                       svg_text(0, 0, "start", shorten(map.tokens[token], kTokenLength), "tick"));
  }
  for (size_t layer = 0; layer < map.layers.size(); ++layer) {
    svg += svg_text(left - 6, kPathsTop + kCellHeight * (static_cast<double>(layer) + 0.5) + 4,
                    "end", map.layers[layer], "tick");
  }
  const double height = kCellHeight * static_cast<double>(map.layers.size());
  return svg + fmt::format("<g transform=\"translate(13 {:.5g}) rotate(-90)\">{}</g>",
                           kPathsTop + height / 2, svg_text(0, 0, "middle", "layer"));
}

}  // namespace

Chart draw(const PathMap& map) {
  const double left = left_of(map);
  const double right = left + kCellWidth * static_cast<double>(map.tokens.size());
  const double bottom = kPathsTop + kCellHeight * static_cast<double>(map.layers.size());
  std::string attributes = fmt::format(
      " data-frame=\"{:.6g} {} {} {}\" data-rows=\"{}\" data-columns=\"{}\""
      " data-names=\"layer&#10;token\" data-k=\"{}\" data-experts=\"{}\"",
      left, kPathsTop, kCellWidth, kCellHeight, joined(map.layers), joined(map.tokens), map.top_k,
      encode(map));
  if (!map.found.empty()) attributes += fmt::format(" data-found=\"{}\"", encode_found(map));
  return {map.label,
          map.description,
          static_cast<int>(right + 60),
          static_cast<int>(bottom + 16),
          attributes,
          cells(map, left) + marks(map, left) + labels(map, left)};
}

}  // namespace foregate::report
