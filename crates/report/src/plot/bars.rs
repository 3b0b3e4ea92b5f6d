//! A bar for each row, with smallest and largest as a whisker.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{svg, text, Area, COLOURS, GREY, LABEL, LETTER, WIDTH};
use super::{heading, origin};
use crate::number::shown;
use crate::{Cell, Column, Report, Row, Table};

const BAR_HEIGHT: u32 = 38;
const AXIS_HEIGHT: u32 = 52;
/// Of the height of a row.
const BAR: f64 = 0.32;
const WHISKER: f64 = 0.14;

pub fn draw(report: &Report, table: &Table, column: &str) -> Result<String, String> {
    let place = table.columns.iter().position(|known| known.id == column);
    let place = place.ok_or_else(|| format!("no column {column}"))?;
    let bars = table.rows.iter();
    let bars: Vec<(&Row, Cell)> = bars
        .filter_map(|row| Some((row, row.cells[place]?)))
        .collect();
    if bars.is_empty() {
        return Err(format!("nothing in column {column}"));
    }
    let height = BAR_HEIGHT * bars.len() as u32 + AXIS_HEIGHT;
    let (heading, origin) = (heading(report, table), origin(report, table));
    svg(&heading, &origin, height, |area| {
        fill(area, &table.columns[place], &bars)
    })
}

fn fill(area: &Area<'_>, column: &Column, bars: &[(&Row, Cell)]) -> Result<(), String> {
    let longest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0) * LETTER;
    let names = longest(&mut bars.iter().map(|(row, _)| row.name.chars().count()));
    let figure = |cell: &Cell| cell.with_spread(column.decimals);
    let figures = longest(&mut bars.iter().map(|(_, cell)| figure(cell).chars().count()));
    let max = bars.iter().map(|(_, cell)| cell.max).fold(0.0, f64::max);
    // Room for the figures behind the longest bar.
    let width = (WIDTH as usize).saturating_sub(names + 60).max(200);
    let room = width as f64 / width.saturating_sub(figures + 20).max(50) as f64;
    let max = if max > 0.0 { max * room } else { 1.0 };

    let mut chart = ChartBuilder::on(area)
        .margin_right(24)
        .x_label_area_size(AXIS_HEIGHT - 8)
        .y_label_area_size(names as u32 + 20)
        // The first row is the topmost one.
        .build_cartesian_2d(0.0..max, bars.len() as f64..0.0)
        .map_err(text)?;
    let axis = match (column.title.as_str(), column.unit.as_str()) {
        ("", unit) => unit.to_owned(),
        (title, "") => title.to_owned(),
        (title, unit) => format!("{title}, {unit}"),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_labels(6)
        .x_label_formatter(&|value| axis_label(*value, max))
        .x_desc(axis)
        .label_style(LABEL)
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()
        .map_err(text)?;

    let line = |from: (f64, f64), to: (f64, f64)| PathElement::new(vec![from, to], BLACK);
    for (at, (row, cell)) in bars.iter().enumerate() {
        let middle = at as f64 + 0.5;
        let colour = COLOURS[usize::from(at > 0)].filled();
        let bar = [(0.0, middle - BAR), (cell.median, middle + BAR)];
        chart
            .draw_series([Rectangle::new(bar, colour)])
            .map_err(text)?;
        if cell.max > cell.min {
            let end = |x| line((x, middle - WHISKER), (x, middle + WHISKER));
            let whisker = line((cell.min, middle), (cell.max, middle));
            chart
                .draw_series([whisker, end(cell.min), end(cell.max)])
                .map_err(text)?;
        }
        // Beside the ends of the bar, in pixels: a name is longer than the plotted area allows.
        let right = Pos::new(HPos::Right, VPos::Center);
        let left = Pos::new(HPos::Left, VPos::Center);
        let plotted = chart.plotting_area();
        for (words, x, gap, pos, colour) in [
            (row.name.clone(), 0.0, -8, right, &BLACK),
            (cell.with_spread(column.decimals), cell.max, 8, left, &GREY),
        ] {
            let (x, y) = plotted.map_coordinate(&(x, middle));
            let style = LABEL.into_font().color(colour).pos(pos);
            let origin = area.get_pixel_range();
            let place = (x + gap - origin.0.start, y - origin.1.start);
            area.draw_text(&words, &style, place).map_err(text)?;
        }
    }
    Ok(())
}

/// Whole numbers, where the axis is long enough for them.
fn axis_label(value: f64, max: f64) -> String {
    let decimals = match max {
        max if max >= 10.0 => 0,
        max if max >= 1.0 => 1,
        _ => 2,
    };
    shown(value, Some(if value == 0.0 { 0 } else { decimals }))
}
